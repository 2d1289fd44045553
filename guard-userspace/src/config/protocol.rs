//! Values of the operators' protocol: levels, tiers, how trees end, Docker's limits, restarts.

use super::units::{Bytes, Percent, write_time};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How long a tree's leaf must do nothing to be called idle: `calm` ≥ `pressure` ≥ `lasting`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdleAfter {
    /// While all is well.
    #[serde(serialize_with = "write_time")]
    pub calm: Duration,
    /// While spawns are refused or wait, or memory or the host suffers.
    #[serde(serialize_with = "write_time")]
    pub pressure: Duration,
    /// Once that has lasted 30 s.
    #[serde(serialize_with = "write_time")]
    pub lasting: Duration,
}

/// Levels by number of processes. A level holds from its number on; the numbers rise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Levels {
    /// What is counted.
    pub count: Count,
    /// Act on counts alone, as the protocol says.
    pub strict: bool,
    /// From here on: warning.
    pub warning: u64,
    /// From here on: critical.
    pub critical: u64,
    /// From here on: emergency.
    pub emergency: u64,
    /// From here on: nuclear.
    pub nuclear: u64,
    /// A level is left after this long below it.
    #[serde(serialize_with = "write_time")]
    pub clear_after: Duration,
    /// Refusals that go on so long after a cleanup are nuclear.
    #[serde(serialize_with = "write_time")]
    pub held_for: Duration,
    /// A server whose trees only become more for so long leaks.
    #[serde(serialize_with = "write_time")]
    pub leak_over: Duration,
}

/// A leak of a tree each half an hour shows within it, and the rhythm of people's days does not.
pub const LEAK_OVER: Duration = Duration::from_secs(10 * 3_600);

/// What levels count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Count {
    /// Processes beyond what is healthy.
    Excess,
    /// All live processes.
    Total,
}

/// Levels by memory. The shares rise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What the shares are of; `None`: the cgroup's own limit.
    pub limit: Option<Bytes>,
    /// Above this: warning.
    pub warning: Percent,
    /// Above this: critical.
    pub critical: Percent,
    /// Above this: emergency.
    pub emergency: Percent,
    /// Above this: restart.
    pub restart_over: Bytes,
}

/// How trees end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// From one step to the next harder one.
    #[serde(serialize_with = "write_time")]
    pub grace: Duration,
    /// Zombies past which their parent is a candidate.
    pub zombie_limit: u64,
    /// Most processes signalled in a minute.
    pub max_kills_per_minute: u64,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tiers {
    /// Ends trees at critical and emergency by count.
    pub nuclear_monitor: NuclearMonitor,
    /// Restarts at nuclear and past `restart_over`.
    pub host_monitor: Tier,
    /// Ends trees by memory.
    pub resource_enforcer: Tier,
    /// Guards a container's start.
    pub startup_preventer: Tier,
}

impl Tiers {
    /// The tiers that have a switch and a log file.
    pub const NAMES: [&str; 4] = [
        "nuclear_monitor",
        "host_monitor",
        "resource_enforcer",
        "startup_preventer",
    ];

    /// None acts of its own accord any more.
    pub const fn switch_off(&mut self) {
        self.nuclear_monitor.on = false;
        self.host_monitor.on = false;
        self.resource_enforcer.on = false;
        self.startup_preventer.on = false;
    }

    /// A tier's log file, where it is one of [`Self::NAMES`].
    #[must_use]
    pub fn log_of(&self, tier: &str, state_dir: &Path) -> Option<PathBuf> {
        let own = match tier {
            "nuclear_monitor" => &self.nuclear_monitor.log,
            "host_monitor" => &self.host_monitor.log,
            "resource_enforcer" => &self.resource_enforcer.log,
            "startup_preventer" => &self.startup_preventer.log,
            _ => return None,
        };
        let usual = || state_dir.join("logs").join(format!("{tier}.log"));
        Some(own.clone().unwrap_or_else(usual))
    }
}

/// A tier's switch and log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tier {
    /// Off: its step stays undone.
    pub on: bool,
    /// Its log file; `None`: `logs/NAME.log` below `state_dir`.
    pub log: Option<PathBuf>,
}

/// The tier that ends trees by count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NuclearMonitor {
    /// Off: its step stays undone.
    pub on: bool,
    /// Its log file; `None`: `logs/nuclear_monitor.log` below `state_dir`.
    pub log: Option<PathBuf>,
    /// What it may end.
    pub scope: Scope,
}

/// What the nuclear monitor may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Trees with evidence against them.
    Evidence,
    /// Every unprotected tree, as the protocol says.
    All,
}

/// Docker's own limits. `None`: left as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DockerLimits {
    /// Most memory.
    pub memory: Option<Bytes>,
    /// Memory kept for it under pressure; at most `memory`.
    pub memory_reservation: Option<Bytes>,
    /// Memory and swap together; at least `memory`.
    pub memory_swap: Option<Bytes>,
    /// CPUs; above 0.
    pub cpus: Option<f64>,
    /// Open files, `soft:hard`.
    pub nofile: Option<Nofile>,
    /// Tasks (threads, not processes); `None`: 16 times the cap, at least 512.
    pub pids: Option<u64>,
    /// Tasks of the user, over the whole host; best left out.
    pub nproc: Option<u64>,
}

/// Limit on open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nofile {
    /// The limit in force.
    pub soft: u64,
    /// How far a process may raise it; at least `soft`.
    pub hard: u64,
}

impl Serialize for Nofile {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}:{}", self.soft, self.hard))
    }
}

/// How the container is restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restart {
    /// Most restarts in an hour; 0: never.
    pub max_per_hour: u64,
    /// Time it has to stop.
    #[serde(serialize_with = "write_time")]
    pub stop_timeout: Duration,
    /// Where its compose file is; `None`: taken from the container's labels.
    pub compose_dir: Option<PathBuf>,
}
