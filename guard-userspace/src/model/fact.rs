//! What the agent says: log, metrics, page and notices are all made of these.

use super::input::{BreachVerdict, Limit, SpawnErrno};
use super::{CgroupId, Did, Doing, Ending, Level, Stamp, TargetId};
use guard_common::{GateMode, TargetCounters};

/// Something to be said.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// When it became known.
    pub at: Stamp,
    /// Of whom.
    pub target: TargetId,
    /// What.
    pub kind: FactKind,
}

/// What is said. Each is one log event of the same name (design.md).
#[derive(Clone, Debug, PartialEq)]
pub enum FactKind {
    /// One line per active second, one per idle minute. Counts are of that stretch.
    SpawnRate {
        /// Differences since the line before; gauges as they are.
        counts: TargetCounters,
        /// Live processes beyond what is healthy.
        excess: u64,
        /// The level.
        level: Level,
        /// The proved mode, or observe.
        mode: GateMode,
        /// The cgroup, where there is one.
        cgroup: Option<CgroupId>,
        /// Seconds the counts are of: 1, or 60 when idle.
        seconds: u64,
    },
    /// The target is counted from now on.
    Armed {
        /// Its cgroup.
        cgroup: CgroupId,
        /// Path below the v2 mount.
        path: String,
        /// Processes that were there already.
        adopted: u64,
        /// It was held without an agent until now.
        inherited: bool,
        /// Armed before its first process.
        from_birth: bool,
        /// How it is held; `None`: the canary has not spoken yet.
        mode: Option<GateMode>,
        /// What a refused spawn says; `None`: its process dies.
        errno: Option<SpawnErrno>,
    },
    /// The target is gone.
    Disarmed {
        /// Why.
        why: String,
    },
    /// A spawn met a limit.
    Breach {
        /// Which.
        limit: Limit,
        /// What became of it.
        verdict: BreachVerdict,
        /// The spawner.
        pid: u32,
        /// The spawner's name.
        comm: String,
        /// Slots taken.
        committed: u64,
        /// The cap.
        max_processes: u64,
        /// Slots of these that only wrappers may take.
        reserve: u64,
        /// Slots that a whole tree takes.
        tree_processes: u64,
        /// Who holds most slots, in words; empty where nobody is known to.
        holders: String,
        /// The first of its storm: said with what to do.
        first: bool,
    },
    /// The level changed.
    Level {
        /// Before.
        from: Level,
        /// Now.
        to: Level,
        /// Why, in words.
        why: String,
    },
    /// Something was decided.
    Decision {
        /// Who.
        tier: &'static str,
        /// What.
        action: &'static str,
        /// Why.
        reason: &'static str,
        /// In words, where the name alone does not say it.
        what: Option<String>,
        /// The guard's own bookkeeping: for whoever asks for debug lines.
        quiet: bool,
        /// `None`: allowed. Else why the rails refused it.
        refused: Option<String>,
        /// Refused since it is a dry run, and for nothing else.
        dry_run: bool,
        /// The tree it is about.
        ending: Option<Ending>,
        /// What is to be done to the target as a whole.
        doing: Option<Doing>,
    },
    /// An action ended.
    Action {
        /// What.
        action: &'static str,
        /// The guard's own bookkeeping: for whoever asks for debug lines.
        quiet: bool,
        /// In words: the limits in force, or the error.
        outcome: String,
        /// Whether it was done.
        done: bool,
        /// The tree it was about.
        ending: Option<Ending>,
        /// What was done to the target as a whole.
        did: Option<Box<Did>>,
    },
    /// A tree has ended by end of file.
    Retired {
        /// The tree.
        ending: Ending,
        /// How many processes ended.
        processes: u64,
    },
    /// Something could not be observed.
    LostEvents {
        /// Where.
        source: &'static str,
        /// In all.
        total: u64,
    },
    /// The cap that memory can carry was fixed: 80 % of the limit by what a process needs.
    AutoCap {
        /// The cap.
        cap: u64,
        /// The memory limit in bytes; `None`: there is none.
        limit_bytes: Option<u64>,
        /// Memory of one process in bytes.
        per_process_bytes: u64,
    },
    /// The cap is too small for what is healthy.
    CapTooSmall {
        /// The cap in force.
        cap: u64,
        /// Slots that what is healthy takes.
        healthy: u64,
        /// The number that would do: one tree more of each family.
        enough: u64,
    },
    /// The count grows and has not fallen for ten minutes.
    Trend {
        /// What it is now.
        count: u64,
        /// By how much it grew.
        grown: u64,
        /// In how many seconds.
        seconds: u64,
        /// In how many seconds it doubles; `None`: it was nothing before.
        doubling_s: Option<u64>,
        /// In how many seconds it is at the cap; `None`: there is no cap.
        to_cap_s: Option<u64>,
    },
    /// A family's number of trees only grows, over hours.
    Leak {
        /// The family.
        family: String,
        /// The command line of one of it, masked.
        command: String,
        /// Its trees now.
        trees: u64,
        /// Trees that it grows by in a day.
        per_day: u64,
        /// Since when at least, milliseconds since 1970.
        since_ms: i64,
        /// What `max_instances` is proposed for it.
        max_instances: u64,
    },
    /// The first sign of something.
    IncidentOpened {
        /// Its number: its time in milliseconds since 1970, or one more than the last one's.
        id: u64,
        /// What it was, in words.
        why: String,
        /// 1 to 4.
        escalation: u8,
    },
    /// An incident is worse than it was.
    Escalation {
        /// The incident's number.
        id: u64,
        /// 2 to 4.
        escalation: u8,
        /// Why, and what is to be done, in words.
        why: String,
    },
    /// It is proved to be over.
    IncidentClosed {
        /// The incident's number.
        id: u64,
        /// How long it was.
        seconds: u64,
        /// Most live processes in it.
        peak_live: u64,
        /// Most memory in use in it, in bytes.
        peak_memory: u64,
        /// What resolved it, in words.
        how: &'static str,
        /// Processes that ended by a signal of the agent's.
        killed: u64,
        /// Trees that ended by end of file.
        retired: u64,
        /// Restarts and recreations.
        restarts: u64,
    },
    /// It has as many gateways as it may have.
    GatewaysFull {
        /// How many that is.
        most: usize,
        /// The first program that is none because of that.
        program: String,
    },
    /// A mode was proved, or failed to.
    GateMode {
        /// The mode in force.
        mode: GateMode,
        /// Whether the canary proved it.
        proved: bool,
        /// What a refused spawn says; `None`: its process dies.
        errno: Option<SpawnErrno>,
        /// Why.
        why: String,
    },
}

impl FactKind {
    /// The value of `event` in the log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SpawnRate { .. } => "spawn_rate",
            Self::Armed { .. } => "armed",
            Self::Disarmed { .. } => "disarmed",
            Self::Breach { .. } => "breach",
            Self::Level { .. } => "level",
            Self::Decision { .. } => "decision",
            Self::Action { .. } => "action",
            Self::Retired { .. } => "retired",
            Self::LostEvents { .. } => "lost_events",
            Self::AutoCap { .. } => "auto_cap",
            Self::CapTooSmall { .. } => "cap_too_small",
            Self::Trend { .. } => "trend",
            Self::Leak { .. } => "leak",
            Self::IncidentOpened { .. } => "incident_opened",
            Self::Escalation { .. } => "escalation",
            Self::IncidentClosed { .. } => "incident_closed",
            Self::GatewaysFull { .. } => "gateways_full",
            Self::GateMode { .. } => "gate_mode",
        }
    }
}
