//! An agent for one command, where none runs: this program again, with the same configuration, for as
//! long as the command takes. It ends with the command however that ends, and leaves a gate only where
//! one was before.

use super::args::ConfigFile;
use super::client::{self, ClientError};
use super::exit::{Code, Failure};
use super::load;
use crate::config::{Config, TargetSource};
use crate::kernel::pins::Pins;
use crate::model::Status;
use crate::model::status::TargetStatus;
use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest from its start to its first answer; a VM without hardware help is slow.
const START: Duration = Duration::from_secs(60);

/// Longest that a target may take to be found after that.
const FIND: Duration = Duration::from_secs(10);

/// The same for a cgroup that does not exist.
const GONE: Duration = Duration::from_secs(1);

/// Longest that its limits may take to be in force once the target is found.
const LIMIT: Duration = Duration::from_secs(5);

/// Longest that its end may take: what it began is brought to an end.
const STOP: Duration = Duration::from_secs(30);

/// How often it is looked whether something has come.
const LOOK: Duration = Duration::from_millis(50);

/// The agent that a command speaks to.
#[derive(Debug)]
pub struct Agent {
    socket: PathBuf,
    own: Option<Own>,
}

/// What the command needs of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// That it runs.
    Running,
    /// That it is one, running or not.
    Named,
}

/// One that was started for this.
#[derive(Debug)]
struct Own {
    child: Child,
    /// Nothing was in force before it.
    alone: bool,
}

impl Agent {
    /// The running agent, or one that is started for this and has found the target (or all of them).
    ///
    /// # Errors
    /// None runs, and none can: without root, with a bad configuration, or as the agent itself says;
    /// or there is no such target.
    pub fn reach(
        socket: &Path,
        from: &ConfigFile,
        target: Option<&str>,
        need: Need,
    ) -> Result<Self, Failure> {
        let mut agent = Self {
            socket: socket.to_owned(),
            own: None,
        };
        match client::status(socket) {
            Ok(_) => return Ok(agent),
            Err(ClientError::NoAgent(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let loaded = load::load(from)?;
        named(&loaded.checked.config, target)?;
        if !rustix::process::geteuid().is_root() {
            let error = anyhow!(
                "no agent answers at {}, and to act without one needs root: run it with sudo",
                socket.display()
            );
            return Err(Failure::new(Code::NoPermission, error));
        }
        eprintln!("no agent answers: one is started for this");
        let own = Own {
            alone: Pins::left().is_empty(),
            child: start(socket, loaded.file.as_deref())?,
        };
        agent.own = Some(own);
        agent.wait(target, need)?;
        Ok(agent)
    }

    /// Where it answers.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether it was started for this.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    fn wait(&mut self, target: Option<&str>, need: Need) -> Result<(), Failure> {
        let first = Instant::now() + START;
        let mut found = None;
        loop {
            self.is_alive()?;
            match client::status(&self.socket) {
                Ok(status) => {
                    let now = Instant::now();
                    let (since, armed) = *found.get_or_insert((now, now));
                    match missing(&status, target) {
                        None if are_held(&status, target) || armed.elapsed() > LIMIT => {
                            return Ok(());
                        }
                        None => {}
                        Some(_) if since.elapsed() > FIND && need == Need::Named => return Ok(()),
                        Some(what) if since.elapsed() > patience(&status, target) => {
                            return Err(Failure::new(Code::NotFound, anyhow!(what)));
                        }
                        Some(_) => found = Some((since, now)),
                    }
                }
                Err(ClientError::NoAgent(_)) if Instant::now() < first => {}
                Err(ClientError::NoAgent(_)) => {
                    let error = anyhow!("the agent did not answer within {} s", START.as_secs());
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            }
            thread::sleep(LOOK);
        }
    }

    fn is_alive(&mut self) -> Result<(), Failure> {
        let Some(own) = &mut self.own else {
            return Ok(());
        };
        let ended = own.child.try_wait().context("waiting for the agent")?;
        let Some(status) = ended else { return Ok(()) };
        let mut words = String::new();
        if let Some(errors) = &mut own.child.stderr {
            // What it says last is a courtesy: its code stands without it.
            let _ = errors.take(16 << 10).read_to_string(&mut words);
        }
        self.own = None;
        let words = words.trim().trim_start_matches("metamcp-guard: ");
        Err(Failure::new(code(status), anyhow!("{words}")))
    }

    /// Ends the agent, if it was started for this.
    ///
    /// # Errors
    /// It did not end, or left something.
    pub fn end(mut self) -> Result<(), Failure> {
        self.own.take().map_or(Ok(()), Own::stop)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // After an error, which is said already.
        if let Some(own) = self.own.take() {
            let _ = own.stop();
        }
    }
}

impl Own {
    fn stop(mut self) -> Result<(), Failure> {
        if self.child.try_wait().context("the agent")?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("SIGTERM to the agent")?;
        let until = Instant::now() + STOP;
        while self.child.try_wait().context("the agent")?.is_none() {
            if Instant::now() > until {
                self.child.kill().context("SIGKILL to the agent")?;
                self.child.wait().context("the agent")?;
                if self.alone {
                    for pins in Pins::left() {
                        pins.remove().context("the gate is not taken away")?;
                    }
                }
                let error = anyhow!("the agent did not end within {} s", STOP.as_secs());
                return Err(error.into());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

fn start(socket: &Path, file: Option<&Path>) -> Result<Child, Failure> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("--socket").arg(socket);
    command.args(["run", "--log-format", "json", "--for-command"]);
    command.arg(std::process::id().to_string());
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    let spawned = command
        // Ctrl-C is the command's: its end is the agent's.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    Ok(spawned.context("cannot start the agent")?)
}

/// What its exit code says.
fn code(status: ExitStatus) -> Code {
    let all = [
        Code::Usage,
        Code::NoPermission,
        Code::NotFound,
        Code::KernelLacks,
        Code::Held,
    ];
    let known = all.into_iter();
    let mut same = known.filter(|code| status.code() == Some(i32::from(*code as u8)));
    same.next().unwrap_or(Code::CheckFailed)
}

/// # Errors
/// No target of the configuration can have that name.
fn named(config: &Config, target: Option<&str>) -> Result<(), Failure> {
    let Some(target) = target else { return Ok(()) };
    let mut all = config.targets.iter();
    // Those of a label have the names of their containers.
    let is_it = |one: &crate::config::TargetConfig| {
        one.name == target || matches!(one.source, TargetSource::Label(_))
    };
    if all.any(is_it) {
        return Ok(());
    }
    let names = config.targets.iter().map(|one| one.name.as_str());
    let names: Vec<&str> = names.collect();
    let error = anyhow!(
        "there is no target {target} in the configuration; there are: {}",
        names.join(", ")
    );
    Err(Failure::new(Code::NotFound, error))
}

fn meant<'a>(
    status: &'a Status,
    target: Option<&'a str>,
) -> impl Iterator<Item = &'a TargetStatus> {
    let all = status.targets.iter();
    all.filter(move |one| target.is_none_or(|name| one.name == name))
}

/// What is not there, in words.
fn missing(status: &Status, target: Option<&str>) -> Option<String> {
    let mut all = meant(status, target).peekable();
    if all.peek().is_none() {
        let name = target.unwrap_or("any target");
        return Some(format!("{name} is not there: nothing that runs is meant"));
    }
    let absent: Vec<String> = all
        .filter(|one| !one.armed)
        .map(|one| format!("{} ({})", one.name, one.watches))
        .collect();
    (!absent.is_empty()).then(|| format!("not there: {}; is it running?", absent.join(", ")))
}

/// A container is Docker's to find; a cgroup is there or not.
fn patience(status: &Status, target: Option<&str>) -> Duration {
    let mut absent = meant(status, target).filter(|one| !one.armed);
    let is_gone = |one: &TargetStatus| {
        let path = one.watches.strip_prefix("cgroup ");
        path.is_some_and(|path| !Path::new(path).exists())
    };
    if absent.any(is_gone) { GONE } else { FIND }
}

fn are_held(status: &Status, target: Option<&str>) -> bool {
    status.mode == "observe" || meant(status, target).all(|one| one.limits.is_some())
}

/// Waits until somebody ends this command.
///
/// # Errors
/// Signals cannot be heard.
pub fn until_told() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let runtime = runtime.context("cannot listen for signals")?;
    let listened: std::io::Result<()> = runtime.block_on(async {
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        let mut hup = signal(SignalKind::hangup())?;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
        Ok(())
    });
    Ok(listened.context("cannot listen for signals")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(targets: &[(&str, bool)]) -> Status {
        let all = targets.iter().map(|(name, armed)| TargetStatus {
            name: (*name).to_owned(),
            watches: format!("container {name}"),
            armed: *armed,
            ..TargetStatus::default()
        });
        Status {
            targets: all.collect(),
            ..Status::default()
        }
    }

    #[test]
    fn who_is_meant_and_not_there_is_named() {
        let both = status(&[("a", true), ("b", false)]);
        let check = |target, expected: Option<&str>| {
            assert_eq!(missing(&both, target).as_deref(), expected);
        };
        check(Some("a"), None);
        check(
            Some("b"),
            Some("not there: b (container b); is it running?"),
        );
        check(None, Some("not there: b (container b); is it running?"));
        check(
            Some("c"),
            Some("c is not there: nothing that runs is meant"),
        );
    }

    #[test]
    fn a_name_that_no_target_can_have_is_not_waited_for() {
        let config = Config::default();
        assert!(named(&config, None).is_ok() && named(&config, Some("metamcp")).is_ok());
        let failure = named(&config, Some("web")).unwrap_err();
        assert_eq!(failure.code, Code::NotFound);
        assert_eq!(
            failure.to_string(),
            "there is no target web in the configuration; there are: metamcp"
        );
    }
}
