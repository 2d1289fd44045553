//! What the sentinel makes of a target, and what was done to it: in JSON these stand beside the target's
//! other fields.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SentinelStatus {
    /// The level that the figures ask for now; `level` is left later than it is entered.
    pub measured: String,
    /// The incident that is open; `None`: none is.
    pub incident: Option<IncidentStatus>,
    /// Since when there is pressure, milliseconds since 1970 (UTC); `None`: there is none.
    pub pressed_since_ms: Option<i64>,
    /// What the container's own health check says; `unknown` where there is none.
    pub health: String,
    /// All of it is stopped.
    pub frozen: bool,
    /// It is cut off from its networks.
    pub isolated: bool,
    /// What is being done to it as a whole.
    pub under_way: Option<String>,
    /// What was tried last in vain, and why.
    pub failed_deed: Option<String>,
    /// Restarts and recreations by the guard.
    pub restarts: u64,
    /// Of them, those of its own accord within the last hour.
    pub restarts_last_hour: u64,
    /// Most of those.
    pub max_restarts_per_hour: u64,
    /// Each tier, and whether it is on.
    pub tiers: BTreeMap<String, bool>,
    /// Processes that were ended by a signal, by the tier that wanted it.
    pub killed_by: BTreeMap<String, u64>,
    /// The cap while the gate is tightened.
    pub tight_cap: Option<u64>,
    /// The cap that memory can carry, once it is fixed.
    pub auto_cap: Option<u64>,
    /// Its start, and what holds meanwhile.
    pub start: StartStatus,
    /// Levels by number of processes; `None`: they stay normal.
    pub levels: Option<LevelsStatus>,
    /// Levels by memory; `None`: they stay normal, or its limit is not known.
    pub memory_levels: Option<MemoryLevelsStatus>,
    /// Memory that would not be given back by itself.
    pub memory_used_bytes: Option<u64>,
    /// Docker's own limits by its configuration, in words; `None`: it has none.
    pub docker_limits: Option<String>,
    /// They were put in force since the container's last start.
    pub limited: bool,
    /// Trees with evidence against them, as they were looked at last; only from warning on or under
    /// pressure.
    pub victims: Vec<VictimStatus>,
    /// Parents that do not wait for their children, as they were looked at last.
    pub zombies: Vec<ZombiesStatus>,
}

/// An incident: from the first sign to proven recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IncidentStatus {
    /// Its number, which its facts have too.
    pub id: u64,
    /// When it was opened, milliseconds since 1970 (UTC).
    pub since_ms: i64,
    /// The first sign, in words.
    pub why: String,
    /// 1 handled by itself, 2 much, 3 it goes on after a cleanup, 4 the host suffers.
    pub escalation: u8,
    /// Most live processes in it.
    pub peak_live: u64,
    /// Most memory in use in it.
    pub peak_memory_bytes: u64,
}

/// A container's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartStatus {
    /// Whether the values of a start are in force.
    pub running: bool,
    /// When it began, milliseconds since 1970 (UTC); `None`: not known.
    pub since_ms: Option<i64>,
    /// Spawns per second while it starts.
    pub rate: u64,
    /// Spawns at once while it starts.
    pub burst: u64,
}

/// Levels by number of processes: each holds from its number on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelsStatus {
    /// `excess` or `total`.
    pub count: String,
    /// Acts on counts alone.
    pub strict: bool,
    /// From here on: warning.
    pub warning: u64,
    /// From here on: critical.
    pub critical: u64,
    /// From here on: emergency.
    pub emergency: u64,
    /// From here on: nuclear.
    pub nuclear: u64,
}

/// Levels by memory, in bytes: each holds above its number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryLevelsStatus {
    /// What the shares are of.
    pub limit: u64,
    /// Above this: warning.
    pub warning: u64,
    /// Above this: critical.
    pub critical: u64,
    /// Above this: emergency.
    pub emergency: u64,
    /// Above this: restart.
    pub restart_over: u64,
}

/// A tree with evidence against it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VictimStatus {
    /// Its id.
    pub tree: u64,
    /// Pid of its first process.
    pub root: u32,
    /// Its family.
    pub family: String,
    /// Its processes.
    pub processes: u64,
    /// What speaks against it: `orphan`, `idle_duplicate`, …
    pub ground: String,
}

/// A parent that does not wait for its children.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZombiesStatus {
    /// Its pid.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// How many of its children have ended and are still there.
    pub zombies: u64,
}
