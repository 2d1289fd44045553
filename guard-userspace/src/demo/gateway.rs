//! The gateway that leaks: for each session it starts three servers, and it never ends one.

use std::os::unix::process::CommandExt;
use std::process::{Child, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};

use super::part::{self, Part};

/// Its command line begins so, behind `node`; by that the demo's config protects it.
pub const PROGRAM: &str = "gateway.js";

/// The servers of a session.
pub const SERVERS: [&str; 3] = [
    "@modelcontextprotocol/server-memory",
    "@modelcontextprotocol/server-filesystem",
    "@modelcontextprotocol/server-everything",
];

/// What the gateway saw, as MetaMCP would have: printed by it at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Sessions that came.
    pub sessions: u64,
    /// Servers it tried to start.
    pub asked: u64,
    /// Spawns that failed, as they do for "try again later".
    pub refused: u64,
    /// Servers that died by a signal: to a gateway, crashes.
    pub killed: u64,
    /// Servers that ended by themselves because a part of them could not start.
    pub broken: u64,
    /// Servers alive at the end.
    pub alive: u64,
}

/// Goes into `cgroup`, and becomes the gateway there: it is by what it executes in a guarded cgroup that
/// the guard knows a gateway. Returns only where that cannot be.
pub fn enter(every_ms: &str, seconds: &str, cgroup: &str) -> ExitCode {
    // As a container has: in mode `deny` the guard asks about execs by mount, and the host's are not
    // to be asked about. Where it cannot be had, they are.
    let _ = unshare(CloneFlags::CLONE_NEWNS);
    if std::fs::write(format!("{cgroup}/cgroup.procs"), "0").is_ok() {
        let words = ["node", PROGRAM, every_ms, seconds];
        eprintln!("demo: {}", Part::Gateway.command(&words).exec());
    }
    ExitCode::FAILURE
}

/// Runs for `seconds`, a session each `every_ms`. Prints what it saw and stays, with all its servers,
/// until its standard input ends.
pub fn run(every_ms: &str, seconds: &str) -> ExitCode {
    let (Ok(every_ms), Ok(seconds)) = (every_ms.parse::<u64>(), seconds.parse::<u64>()) else {
        return ExitCode::from(2);
    };
    let until = Instant::now() + Duration::from_secs(seconds).min(part::LONGEST);
    let every = Duration::from_millis(every_ms.max(50));
    let mut seen = Seen::default();
    let mut servers: Vec<Child> = Vec::new();
    while Instant::now() < until {
        seen.sessions += 1;
        for package in SERVERS {
            seen.asked += 1;
            match part::spawn_server(package) {
                Ok(server) => servers.push(server),
                Err(_) => seen.refused += 1,
            }
        }
        thread::sleep(every);
        servers.retain_mut(|server| still_there(server, &mut seen));
    }
    servers.retain_mut(|server| still_there(server, &mut seen));
    seen.alive = u64::try_from(servers.len()).unwrap_or(u64::MAX);
    match serde_json::to_string(&seen) {
        Ok(line) => println!("{line}"),
        Err(_) => return ExitCode::FAILURE,
    }
    part::until_stdin_ends();
    ExitCode::SUCCESS
}

fn still_there(server: &mut Child, seen: &mut Seen) -> bool {
    match server.try_wait() {
        Ok(Some(status)) if status.code().is_none() => {
            seen.killed += 1;
            false
        }
        Ok(Some(_)) => {
            seen.broken += 1;
            false
        }
        Ok(None) | Err(_) => true,
    }
}
