//! A dockerd of the suite's own, beside any that the host may have.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::containerd::Containerd;
use super::{Docker, machine};
use crate::Cgroup;
use crate::check::eventually;

/// Longest that dockerd may take to answer, also after it was killed with containers running, and in a
/// machine that is emulated beside other load.
const START: Duration = Duration::from_secs(120);
/// Longest that it may take to end.
const STOP: Duration = Duration::from_secs(20);

/// A running dockerd. Dropped, it is stopped, with all that it started.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// In a machine.
    containerd: Option<Containerd>,
    /// Packages, image and Docker's own data: kept between runs.
    store: PathBuf,
    /// Socket and state of this run. Short, for a socket's path has 108 bytes.
    scratch: PathBuf,
    /// Whatever dockerd leaves behind (containerd, shims) dies with it.
    cgroup: Cgroup,
}

impl Daemon {
    /// Starts one and waits until it answers. What an earlier run left behind is cleared away.
    ///
    /// # Errors
    /// It is not installed, or does not come up: the error has the end of its log.
    pub fn start() -> Result<Self> {
        let store = machine::store();
        fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
        let store = store.canonicalize()?;
        end_leftover(&store)?;
        unmount_below(&store);
        let scratch = std::env::temp_dir().join(format!("guard-docker-{}", std::process::id()));
        fs::create_dir_all(&scratch)
            .with_context(|| format!("cannot make {}", scratch.display()))?;
        let cgroup = Cgroup::new("dockerd")?;
        // dockerd gives one of its own 15 seconds, which are too few where CPUs are emulated.
        let containerd = match machine::image() {
            Some(_) => Some(Containerd::start(&scratch, &cgroup)?),
            None => None,
        };
        let child = spawn(&store, &scratch, containerd.as_ref())?;
        let mut daemon = Self {
            child,
            containerd,
            store,
            scratch,
            cgroup,
        };
        daemon.wait_up()?;
        let docker = daemon.docker();
        for id in docker.output(&["ps", "-aq"])?.lines() {
            docker.output(&["rm", "-f", id])?;
        }
        Ok(daemon)
    }

    /// Speaks to it.
    #[must_use]
    pub fn docker(&self) -> Docker {
        Docker::at(
            format!("unix://{}", self.scratch.join("docker.sock").display()),
            &self.scratch,
        )
    }

    /// The folder that is kept between runs.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Kills it as the OOM killer would. Its containers go on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("SIGKILL to dockerd")?;
        self.child.wait().map(drop).context("waiting for dockerd")
    }

    /// Starts it again after [`Self::kill`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> Result<()> {
        // dockerd does not start over the pid file of one that did not end by itself.
        let _absent = fs::remove_file(self.store.join("dockerd.pid"));
        self.wait_for_its_containerd()?;
        self.child = spawn(&self.store, &self.scratch, self.containerd.as_ref())?;
        self.wait_up()
    }

    /// A killed dockerd's own containerd dies with it, a moment later. A new dockerd that comes in that
    /// moment takes it for one that lives, and waits for it in vain.
    fn wait_for_its_containerd(&self) -> Result<()> {
        let file = self.scratch.join("exec/containerd/containerd.pid");
        let text = fs::read_to_string(file).unwrap_or_default();
        let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        eventually("the killed dockerd's containerd ends", STOP, || {
            Ok(test_kill_process(pid).is_err())
        })
    }

    fn wait_up(&mut self) -> Result<()> {
        self.cgroup.take(self.child.id())?;
        let came = eventually("dockerd answers", START, || {
            ensure!(self.child.try_wait()?.is_none(), "dockerd ended");
            Ok(self.docker().answers())
        });
        came.with_context(|| format!("dockerd's last words:\n{}", self.last_words()))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.scratch.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)
                .context("SIGTERM to dockerd")?;
            let ended = eventually("dockerd ends", STOP, || {
                Ok(self.child.try_wait()?.is_some())
            });
            if ended.is_err() {
                self.kill()?;
            }
        }
        let _absent = fs::remove_file(self.store.join("dockerd.pid"));
        self.cgroup.kill()?;
        drop(self.containerd.take());
        unmount_below(&self.store);
        unmount_below(&self.scratch);
        fs::remove_dir_all(&self.scratch)
            .with_context(|| format!("cannot remove {}", self.scratch.display()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("test kit: {error:#}");
        }
    }
}

fn spawn(store: &Path, scratch: &Path, containerd: Option<&Containerd>) -> Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(scratch.join("log"))?;
    let at = |option: &str, path: PathBuf| format!("--{option}={}", path.display());
    Command::new("dockerd")
        .arg(at("data-root", store.join("data")))
        .arg(at("exec-root", scratch.join("exec")))
        .arg(at("pidfile", store.join("dockerd.pid")))
        .arg(format!(
            "--host=unix://{}",
            scratch.join("docker.sock").display()
        ))
        .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
        .arg("--exec-opt")
        .arg(format!("native.cgroupdriver={}", machine::driver()))
        .args(containerd.map(Containerd::option))
        .env_remove("DOCKER_HOST")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start dockerd: apt-get install docker.io")
}

/// Ends the dockerd of a run that was killed: it has our store, and with it our pid file.
fn end_leftover(store: &Path) -> Result<()> {
    let file = store.join("dockerd.pid");
    let Ok(text) = fs::read_to_string(&file) else {
        return Ok(());
    };
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let ours = format!("--data-root={}", store.join("data").display());
    let is_ours = |pid: Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|argument| argument == ours.as_bytes())
    };
    if let Some(pid) = pid.filter(|pid| is_ours(*pid)) {
        kill_process(pid, Signal::TERM).context("ending the dockerd of an earlier run")?;
        eventually("the dockerd of an earlier run ends", STOP, || {
            Ok(test_kill_process(pid).is_err())
        })?;
    }
    let _absent = fs::remove_file(file);
    Ok(())
}

/// dockerd mounts its data over itself, and a killed one leaves that and its containers' mounts.
fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points: Vec<_> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(Path::new)
        .collect();
    for point in points
        .into_iter()
        .rev()
        .filter(|point| point.starts_with(folder))
    {
        if let Err(error) = unmount(point, UnmountFlags::DETACH) {
            eprintln!("test kit: cannot unmount {}: {error}", point.display());
        }
    }
}
