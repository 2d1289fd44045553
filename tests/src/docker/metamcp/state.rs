//! What the gateway believes of its servers, as it tells it itself.

use anyhow::{Result, ensure};
use serde::Deserialize;

/// All that it believes.
#[derive(Clone, Debug, Deserialize)]
pub struct State {
    /// The pool's first round is over.
    pub booted: bool,
    /// Each configured server.
    pub servers: Vec<ServerState>,
    /// The roots that it started and that have not ended, as far as it has noticed.
    pub processes: Vec<Process>,
    /// Sessions that nobody ended.
    pub sessions: usize,
    /// Idle instances on their way.
    pub creating: usize,
    /// Servers that ended badly by themselves: each put its server into ERROR.
    pub crashes: Vec<Crash>,
    /// Spawns that failed: no crash.
    pub refused: Vec<Refused>,
    /// Instances that did not answer in time: no crash.
    pub timeouts: Vec<TimedOut>,
}

/// One server.
#[derive(Clone, Debug, Deserialize)]
pub struct ServerState {
    /// As configured.
    pub name: String,
    /// `OK` or `ERROR`.
    pub state: String,
    /// Idle instances: 0 or 1.
    pub idle: usize,
    /// Instances that sessions have.
    pub active: usize,
}

/// One root, by its pid in the container.
#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    /// Also its process group.
    pub pid: u32,
    /// Whose it is.
    pub server: String,
    /// `starting`, `idle`, `active`, or `unowned` by pool and sessions.
    pub role: String,
}

/// An end that was counted against the server.
#[derive(Clone, Debug, Deserialize)]
pub struct Crash {
    /// Whose.
    pub server: String,
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// Time since its spawn.
    pub after_ms: u64,
    /// Its last words on standard error.
    pub said: String,
}

/// A spawn that failed.
#[derive(Clone, Debug, Deserialize)]
pub struct Refused {
    /// Whose.
    pub server: String,
    /// `EAGAIN`, `EPERM`, `ENOENT`…
    pub errno: String,
    /// Time from the spawn to the error.
    pub after_ms: u64,
}

/// An instance that was given up.
#[derive(Clone, Debug, Deserialize)]
pub struct TimedOut {
    /// Whose.
    pub server: String,
    /// Time since its spawn.
    pub after_ms: u64,
}

impl State {
    /// Nothing is being started.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.booted && self.creating == 0 && self.with_role("starting").next().is_none()
    }

    /// The roots of that role.
    pub fn with_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Process> {
        self.processes
            .iter()
            .filter(move |process| process.role == role)
    }

    /// The servers in ERROR.
    #[must_use]
    pub fn in_error(&self) -> Vec<&str> {
        let servers = self.servers.iter();
        let failed = servers.filter(|server| server.state != "OK");
        failed.map(|server| server.name.as_str()).collect()
    }

    /// The promise of every mode: no crash was counted, so no server is in ERROR.
    ///
    /// # Errors
    /// One is, or ended badly: the error says how.
    pub fn ensure_no_error(&self) -> Result<()> {
        let failed = self.in_error();
        ensure!(
            failed.is_empty() && self.crashes.is_empty(),
            "in ERROR: {failed:?}, by {:?}",
            self.crashes
        );
        Ok(())
    }

    /// Each server has its idle instance.
    ///
    /// # Errors
    /// One has not.
    pub fn ensure_all_idle(&self) -> Result<()> {
        let servers = self.servers.iter();
        let absent: Vec<_> = servers.filter(|server| server.idle != 1).collect();
        ensure!(
            absent.is_empty(),
            "no idle instance: {absent:?}, crashes {:?}, refused {:?}, timeouts {:?}",
            self.crashes,
            self.refused,
            self.timeouts
        );
        Ok(())
    }
}
