//! What the agent knows at one moment: `GET /api/v1/status`, `status` and `/metrics` are drawn from
//! it. Field names are a contract; new ones may be added.

pub mod sentinel;

use sentinel::SentinelStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The agent and all its targets at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the agent.
    pub version: String,
    /// `enforce` or `observe`, as configured.
    pub mode: String,
    /// The agent's pid.
    pub pid: u32,
    /// Start of the agent, milliseconds since 1970 (UTC).
    pub started_ms: i64,
    /// When this was taken, milliseconds since 1970 (UTC).
    pub taken_ms: i64,
    /// Whether the kernel's events are being read.
    pub sensing: bool,
    /// Why `/healthz` says 503; empty while all is well.
    pub problems: Vec<String>,
    /// What else does not work, while the guard guards: `/healthz` says 200.
    #[serde(default)]
    pub degraded: Vec<String>,
    /// How the gate refuses, and whether that was shown.
    pub gate: GateStatus,
    /// What could not be observed, by place, apart from the targets' own.
    pub lost_events: BTreeMap<String, u64>,
    /// What the counts come from: `tracepoint`, exactly, or `tp_btf`, which may miss events where tasks
    /// preempt each other.
    #[serde(default)]
    pub counting: String,
    /// The kernel side's programs.
    pub programs: Vec<ProgramStatus>,
    /// In the order of the config.
    pub targets: Vec<TargetStatus>,
}

/// How the gate refuses, and whether that was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateStatus {
    /// `lsm`, `deny`, `kill` or `observe`.
    pub mode: String,
    /// Whether the canary has shown that it refuses.
    pub proved: bool,
    /// Why this mode, in words.
    pub why: String,
    /// What a refused spawn says: `EAGAIN` or `EPERM`; `None`: its process dies.
    #[serde(default)]
    pub errno: Option<String>,
    /// Whether processes that cannot be refused, and would be more than `newborn_max` at a time, die
    /// before they execute anything; else only at their exec or fork, or after a while.
    #[serde(default)]
    pub kills_at_birth: bool,
    /// Mounts on which execs are asked about now (`deny`, near the limits).
    #[serde(default)]
    pub marked_mounts: usize,
    /// Execs that waited for an answer (`deny`), since the thread that answers was started.
    #[serde(default)]
    pub answers: AnswersStatus,
}

/// How long execs waited from being read to being answered. The quantiles are upper bounds, known
/// within a factor of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswersStatus {
    /// Questions: an exec asks for the file, its interpreter and its loader.
    pub asked: u64,
    /// Of them, those that were denied.
    pub denied: u64,
    /// Half of them took no longer, in ns.
    pub p50_ns: u64,
    /// Of a hundred, one took longer, in ns.
    pub p99_ns: u64,
    /// The longest, in ns.
    pub longest_ns: u64,
}

/// A kernel-side program's share of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// Its name.
    pub name: String,
    /// Runs; 0 while the kernel keeps no statistics.
    pub runs: u64,
    /// Nanoseconds spent in them.
    pub run_ns: u64,
    /// Runs that the kernel left out because the program was running on that CPU already.
    pub recursion_misses: u64,
}

/// One target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Its name, from the config.
    pub name: String,
    /// What it is, in words: `container metamcp`.
    pub watches: String,
    /// Whether its cgroup is there and counted.
    pub armed: bool,
    /// Its cgroup, while it is armed.
    pub cgroup: Option<CgroupStatus>,
    /// The level.
    pub level: String,
    /// Why that level; empty while it is normal.
    pub level_why: String,
    /// Counts since it was first armed, with those of the targets within it; its peak and its slots are
    /// its own.
    pub counts: Counts,
    /// Targets within it: each is held to its own cap, and counted here too.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Live processes beyond what is healthy.
    pub excess: u64,
    /// Slots taken below the cap: processes, and what is reserved for their trees.
    pub committed: u64,
    /// Slots that are reserved for trees and not used.
    pub reserved: u64,
    /// Slots that trees may still take; `None`: no cap.
    pub free: Option<u64>,
    /// Processes whose children are trees.
    pub gateways: Vec<GatewayStatus>,
    /// Families of trees, those that hold most slots first.
    pub families: Vec<FamilyStatus>,
    /// Spawns in the last second.
    pub spawn_rate: u64,
    /// The mode in force: `observe`, or what the canary proved.
    pub mode: String,
    /// Its execs are asked about now (`deny`, near its limits).
    #[serde(default)]
    pub asked: bool,
    /// So are all of the host's, since it shares the host's mounts.
    #[serde(default)]
    pub host_asked: bool,
    /// The limits in force; `None` until they are.
    pub limits: Option<LimitsStatus>,
    /// The first refusal of the storm that runs, or of the last one; `None`: nothing was refused yet.
    #[serde(default)]
    pub storm: Option<StormStatus>,
    /// Storms that began, by the limit that their first spawn met.
    #[serde(default)]
    pub storms: BTreeMap<String, u64>,
    /// The last action that was not done, in words.
    pub failed_action: Option<String>,
    /// Trees that were ended by end of file on their stdin.
    #[serde(default)]
    pub retired: u64,
    /// Processes that were ended by an operator's `kill`.
    #[serde(default)]
    pub killed_by_operator: u64,
    /// Memory charged to it, where it could be read.
    pub memory_bytes: Option<u64>,
    /// Its memory limit; `None`: no limit.
    pub memory_limit_bytes: Option<u64>,
    /// What could not be observed of it, by place.
    pub lost_events: BTreeMap<String, u64>,
    /// What the sentinel makes of it, and what was done to it.
    #[serde(flatten)]
    pub sentinel: SentinelStatus,
}

/// The first refusal of a storm, which is a stretch of refusals without a gap of 5 s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormStatus {
    /// Whether it goes on.
    pub running: bool,
    /// When it began, milliseconds since 1970 (UTC).
    pub began_ms: i64,
    /// The limit that was met.
    pub limit: String,
    /// What became of the spawn: `denied`, `condemned` or `observed`.
    pub verdict: String,
    /// Who spawned.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// All that in words, and what to do.
    pub words: String,
}

/// A process whose children are trees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// Its pid on the host.
    pub pid: u32,
    /// What it runs, masked.
    pub program: String,
}

/// Trees whose command line is the same but for versions, paths, ports and ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyStatus {
    /// Program and package.
    pub name: String,
    /// Its trees.
    pub trees: u64,
    /// Their processes.
    pub processes: u64,
    /// The slots that they hold.
    pub slots: u64,
    /// Pids of their roots, the oldest first.
    pub roots: Vec<u32>,
}

/// A target's cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupStatus {
    /// Inode number of its directory.
    pub id: u64,
    /// Path below the v2 mount.
    pub path: String,
    /// Processes that were in it when it was armed.
    pub adopted: u64,
    /// Armed before its first process.
    pub from_birth: bool,
}

/// Limits as an operator writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsStatus {
    /// Most live processes; `None`: no cap.
    pub max_processes: Option<u64>,
    /// Spawns per second in the long run; `None`: no limit.
    pub spawn_rate: Option<u64>,
    /// Spawns at once from a full bucket.
    pub spawn_burst: u64,
    /// Slots that a gateway's spawn asks for.
    pub tree_processes: u64,
    /// Slots below the cap that only the container's own wrappers may take.
    pub reserve: u64,
}

/// A target's counts: gauges first, then totals. Meanings: `guard_common::TargetCounters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each is documented once, in guard_common::TargetCounters"
)]
pub struct Counts {
    pub live: u64,
    pub guests: u64,
    pub tasks: u64,
    pub trees: u64,
    pub parked: u64,
    pub condemned_now: u64,
    pub peak_live: u64,
    pub spawns: u64,
    pub threads: u64,
    pub execs: u64,
    pub exits: u64,
    pub denied: u64,
    pub condemned: u64,
    pub killed: u64,
    pub would_refuse: u64,
    pub entered: u64,
    pub left: u64,
    pub lost: u64,
    pub sampled: u64,
    pub table_full: u64,
}

impl From<guard_common::TargetCounters> for Counts {
    fn from(c: guard_common::TargetCounters) -> Self {
        Self {
            live: c.live,
            guests: c.guests,
            tasks: c.tasks,
            trees: c.trees,
            parked: c.parked,
            condemned_now: c.condemned_now,
            peak_live: c.peak_live,
            spawns: c.spawns,
            threads: c.threads,
            execs: c.execs,
            exits: c.exits,
            denied: c.denied,
            condemned: c.condemned,
            killed: c.killed,
            would_refuse: c.would_refuse,
            entered: c.entered,
            left: c.left,
            lost: c.lost,
            sampled: c.sampled,
            table_full: c.table_full,
        }
    }
}
