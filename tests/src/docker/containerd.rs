//! A containerd of the suite's own, for a dockerd that may not start one itself.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::Cgroup;
use crate::check::eventually;

/// Longest until it listens, in a machine that is emulated beside other load.
const START: Duration = Duration::from_secs(120);
/// What dockerd's own has not either.
const CONFIG: &str = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";

/// A running containerd. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Containerd {
    child: Child,
    socket: PathBuf,
}

impl Containerd {
    /// Starts one with all its state in `scratch`, in that cgroup, and waits until it listens.
    ///
    /// # Errors
    /// It is not installed, or does not come up: the error has its log.
    pub fn start(scratch: &Path, cgroup: &Cgroup) -> Result<Self> {
        let at = |name: &str| scratch.join("containerd").join(name);
        fs::create_dir_all(at("")).context("containerd's folder")?;
        fs::write(at("config.toml"), CONFIG)?;
        let (socket, log) = (at("sock"), at("log"));
        let file = File::create(&log)?;
        let child = Command::new("containerd")
            .arg("--config")
            .arg(at("config.toml"))
            .arg("--root")
            .arg(at("root"))
            .arg("--state")
            .arg(at("state"))
            .arg("--address")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot start containerd: apt-get install containerd")?;
        let mut one = Self { child, socket };
        cgroup.take(one.child.id())?;
        eventually("containerd listens", START, || {
            ensure!(one.child.try_wait()?.is_none(), "containerd ended");
            Ok(UnixStream::connect(&one.socket).is_ok())
        })
        .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(one)
    }

    /// What dockerd is told to use it.
    pub fn option(&self) -> String {
        format!("--containerd={}", self.socket.display())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
