//! An agent with a config of its own, on cgroups of the test's.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use guard_userspace::model::Status;
use guard_userspace::model::status::TargetStatus;
use serde_json::Value;

use crate::agent::{Agent, Folder, output, take_away};
use crate::check::eventually;
use crate::witness::Counts;
use crate::{Cgroup, Witness};

/// Longest from a cause to its effect. The load of the programs is most of it, in a machine that is
/// emulated.
pub const SOON: Duration = Duration::from_secs(60);

/// Longest that the tests of another checkout may keep us out: a machine has room for one agent.
const TURN: Duration = Duration::from_secs(240);

/// The config's name in its folder.
const CONFIG: &str = "config.toml";

/// The exit code of an agent that finds another one at work.
const HELD: i32 = 6;

/// Limits that no storm meets.
pub const WIDE: &str = "max_processes = 20000\nspawn_rate = 1000000\nspawn_burst = 1000000";

/// A cap, and no limit on the rate.
#[must_use]
pub fn cap(processes: u64) -> String {
    format!("max_processes = {processes}\nspawn_rate = 1000000\nspawn_burst = 1000000")
}

/// The name of the only target.
pub const ONLY: &str = "storm";

/// A `[[target]]` of the config.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its cgroup, there or not.
    pub path: &'a str,
    /// Its `[target.gate]`, in TOML.
    pub gate: &'a str,
}

/// An agent of a test's own, with its files.
#[derive(Debug)]
pub struct Guarded {
    /// The agent.
    pub agent: Agent,
    /// Where it answers.
    pub socket: String,
    folder: Folder,
}

impl Guarded {
    /// Starts one on a cgroup that is there, with that gate, and waits until it counts and its
    /// limits are in force.
    ///
    /// # Errors
    /// The agent's.
    pub fn start(cgroup: &Cgroup, gate: &str, arguments: &[&str]) -> Result<Self> {
        let mut guarded = Self::begin(&cgroup.path().display().to_string(), gate, arguments)?;
        guarded.ready(ONLY)?;
        Ok(guarded)
    }

    /// Starts one on a cgroup that may not be there yet, and does not wait.
    ///
    /// # Errors
    /// The agent cannot be started.
    pub fn begin(path: &str, gate: &str, arguments: &[&str]) -> Result<Self> {
        Self::begin_saying("info", path, gate, arguments)
    }

    /// As [`Self::begin`], with a log of that level (`RUST_LOG`).
    ///
    /// # Errors
    /// The agent cannot be started.
    pub fn begin_saying(level: &str, path: &str, gate: &str, arguments: &[&str]) -> Result<Self> {
        let name = ONLY;
        Self::begin_all(level, "", &[Target { name, path, gate }], arguments)
    }

    /// Starts one on several targets, with more lines at the head of its config, and does not wait.
    ///
    /// # Errors
    /// The agent cannot be started.
    pub fn begin_all(
        level: &str,
        head: &str,
        targets: &[Target<'_>],
        arguments: &[&str],
    ) -> Result<Self> {
        let mut config = format!("{head}\n[http]\nlisten = \"127.0.0.1:0\"\n");
        for Target { name, path, gate } in targets {
            config.push_str(&format!(
                "[[target]]\nname = \"{name}\"\ncgroup = \"{path}\"\n[target.gate]\n{gate}\n"
            ));
        }
        Self::begin_file(level, &config, arguments)
    }

    /// Starts one on the targets of this TOML, and does not wait.
    ///
    /// # Errors
    /// The agent cannot be started.
    pub fn begin_config(level: &str, targets: &str, arguments: &[&str]) -> Result<Self> {
        let config = format!("[http]\nlisten = \"127.0.0.1:0\"\n{targets}");
        Self::begin_file(level, &config, arguments)
    }

    /// Starts one on a cgroup that is there, in which whoever executes what `protect` (a regular
    /// expression) means is a gateway; waits as [`Self::start`] does.
    ///
    /// # Errors
    /// The agent's.
    pub fn protecting(cgroup: &Cgroup, protect: &str, gate: &str) -> Result<Self> {
        let path = cgroup.path().display();
        let target = format!(
            "[[target]]\nname = \"{ONLY}\"\ncgroup = \"{path}\"\nprotect = ['{protect}']\n[target.gate]\n{gate}\n"
        );
        let mut guarded = Self::begin_config("info", &target, &[])?;
        guarded.ready(ONLY)?;
        Ok(guarded)
    }

    fn begin_file(level: &str, config: &str, arguments: &[&str]) -> Result<Self> {
        let folder = Folder::new()?;
        let state = folder.path().display();
        // Where a test does not say so itself, nothing outlives its agent.
        let release = if config.contains("on_agent_exit") {
            ""
        } else {
            "on_agent_exit = \"release\"\n"
        };
        let config = format!("state_dir = \"{state}\"\n{release}{config}");
        folder.file(CONFIG, &config)?;
        Self::begin_in(level, folder, arguments)
    }

    /// Starts one on the config in this folder.
    fn begin_in(level: &str, folder: Folder, arguments: &[&str]) -> Result<Self> {
        let state = folder.path().display();
        let (file, socket) = (format!("{state}/{CONFIG}"), format!("{state}/agent.sock"));
        let all = [&["--socket", &socket, "--config", &file], arguments].concat();
        let until = Instant::now() + TURN;
        loop {
            let mut agent = Agent::run_saying(level, &all)?;
            let started = agent.wait_for("started", SOON, |_| true);
            if started.is_err() && Instant::now() < until && agent.wait(SOON)?.code() == Some(HELD)
            {
                thread::sleep(Duration::from_millis(500));
                continue;
            }
            started?;
            return Ok(Self {
                agent,
                socket,
                folder,
            });
        }
    }

    /// Ends the agent by SIGKILL, which leaves its gate at work; gives what starts another one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill_and_leave(self) -> Result<Left> {
        self.agent.kill_and_leave()?;
        Ok(Left(Some(self.folder)))
    }

    /// Ends the agent as systemd does, which leaves its gate at work where the config says so.
    ///
    /// # Errors
    /// It does not end well.
    pub fn stop_and_leave(self) -> Result<(Left, Vec<Value>)> {
        let said = self.agent.stop_and_leave()?;
        Ok((Left(Some(self.folder)), said))
    }

    /// Waits until a target is counted and its limits are in force.
    ///
    /// # Errors
    /// It is not in time.
    pub fn ready(&mut self, target: &str) -> Result<()> {
        self.hears(target, "armed", &[])?;
        self.hears(target, "action", &[("action", "gate")])
            .map(drop)
    }

    /// Waits for an event about a target in which these fields are so.
    ///
    /// # Errors
    /// It does not come in time.
    pub fn hears(&mut self, target: &str, event: &str, fields: &[(&str, &str)]) -> Result<Value> {
        let is = |line: &Value, name: &str, value: &str| line.get(name).is_some_and(|v| v == value);
        self.agent.wait_for(event, SOON, |line| {
            is(line, "target", target) && fields.iter().all(|(name, value)| is(line, name, value))
        })
    }

    /// What `status --json` says now.
    ///
    /// # Errors
    /// The agent does not answer, or something that is no status.
    pub fn status(&self) -> Result<Status> {
        let asked = output(&["--socket", &self.socket, "status", "--json"])?;
        let status = serde_json::from_slice(&asked.stdout);
        status.with_context(|| {
            let said = String::from_utf8_lossy(&asked.stderr).into_owned();
            format!("status: {said}{}", self.agent.last_words())
        })
    }

    /// What it says of one target.
    ///
    /// # Errors
    /// As [`Self::status`], or there is no such target.
    pub fn target(&self, name: &str) -> Result<TargetStatus> {
        let status = self.status()?;
        let found = status
            .targets
            .into_iter()
            .find(|target| target.name == name);
        found.with_context(|| format!("no target {name}"))
    }

    /// What it says of its only target.
    ///
    /// # Errors
    /// As [`Self::target`].
    pub fn only(&self) -> Result<TargetStatus> {
        self.target(ONLY)
    }

    /// Waits until `holds` is true of its only target; gives what was said then.
    ///
    /// # Errors
    /// It never was: the message has what was said last.
    pub fn until(
        &self,
        what: &str,
        holds: impl FnMut(&TargetStatus) -> bool,
    ) -> Result<TargetStatus> {
        self.until_of(ONLY, what, holds)
    }

    /// As [`Self::until`], of one of its targets.
    ///
    /// # Errors
    /// As [`Self::until`].
    pub fn until_of(
        &self,
        target: &str,
        what: &str,
        mut holds: impl FnMut(&TargetStatus) -> bool,
    ) -> Result<TargetStatus> {
        let mut last = TargetStatus::default();
        eventually(what, SOON, || {
            last = self.target(target)?;
            Ok(holds(&last))
        })
        .with_context(|| format!("the agent says {last:?}"))?;
        Ok(last)
    }

    /// Waits until it says of a cgroup at rest what the witness says, and takes no more slots than
    /// there are processes.
    ///
    /// # Errors
    /// They differ, or a table was full.
    pub fn agrees(&self, witness: &Witness) -> Result<TargetStatus> {
        self.agrees_of(ONLY, witness)
    }

    /// As [`Self::agrees`], of one of its targets.
    ///
    /// # Errors
    /// As [`Self::agrees`].
    pub fn agrees_of(&self, target: &str, witness: &Witness) -> Result<TargetStatus> {
        let mut last = (self.target(target)?, witness.counts()?);
        eventually("guard and witness agree", AGREED, || {
            last = (self.target(target)?, witness.counts()?);
            Ok(agree(&last.0, &last.1))
        })
        .with_context(|| format!("the guard says {:?}, the witness {:?}", last.0, last.1))?;
        Ok(last.0)
    }
}

/// What an agent has left: its config, and its gate at work, which is taken away when this is dropped.
#[derive(Debug)]
pub struct Left(Option<Folder>);

impl Left {
    /// Starts another agent on the same config, with more arguments, and does not wait.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn begin(mut self, arguments: &[&str]) -> Result<Guarded> {
        let folder = self.0.take().context("its folder")?;
        Guarded::begin_in("info", folder, arguments)
    }

    /// Starts another agent on the same config and waits until its limits are in force.
    ///
    /// # Errors
    /// The agent's.
    pub fn start(self) -> Result<Guarded> {
        let mut guarded = self.begin(&[])?;
        guarded.ready(ONLY)?;
        Ok(guarded)
    }

    /// Leaves the gate to an agent with another config.
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        if self.0.is_some() {
            take_away();
        }
    }
}

/// How long a status may be behind.
const AGREED: Duration = Duration::from_secs(10);

fn agree(said: &TargetStatus, seen: &Counts) -> bool {
    let counts = &said.counts;
    let guard = (
        (counts.live + counts.condemned_now, counts.tasks),
        (counts.spawns, counts.threads, counts.execs, counts.exits),
        (counts.entered, counts.left),
    );
    let witness = (
        (seen.live, seen.tasks),
        (seen.spawns, seen.threads, seen.execs, seen.exits),
        (seen.entered, seen.left),
    );
    guard == witness && said.committed == counts.live && counts.table_full == 0
}
