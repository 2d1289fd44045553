//! What is decided, and how it ended.

use super::{Did, Doing, Ended, Ending, ProcessKey, TargetId};
use guard_common::tree::force::Post;
use guard_common::tree::{Place, Role};
use guard_common::{GateLimits, GateMode};

/// Something the policy wants done. Nothing is done of it before the rails allow it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The target it is about.
    pub target: TargetId,
    /// Who wants it.
    pub tier: Tier,
    /// Why.
    pub reason: Reason,
    /// What.
    pub action: Action,
    /// Only to be said, not done.
    pub dry_run: bool,
}

/// All that can be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Put limits in force in the kernel.
    Gate(GateLimits),
    /// Say what a process of the spine is.
    Role {
        /// The process.
        process: ProcessKey,
        /// Wrapper or gateway.
        role: Role,
        /// What it executed, for showing.
        program: String,
    },
    /// A process in a tree is a gateway.
    Protect {
        /// The process.
        process: ProcessKey,
        /// What it executed, for showing.
        program: String,
    },
    /// Count a process elsewhere.
    Move {
        /// The process.
        process: ProcessKey,
        /// Where.
        post: Post,
    },
    /// Raise a tree's reservation.
    Raise {
        /// The tree.
        tree: u64,
        /// Towards so many slots.
        peak: u64,
        /// While fewer than this are taken.
        room: u64,
    },
    /// Take back what a quiet tree does not use, but one.
    Settle {
        /// The tree.
        tree: u64,
        /// From this size on.
        floor: u64,
    },
    /// End a tree.
    End(Ending),
    /// Look for what speaks against trees: reading only.
    Look,
    /// Remind a parent of its children that have ended (SIGCHLD).
    Nudge {
        /// The parent.
        parent: ProcessKey,
        /// Its name, for showing.
        comm: String,
        /// How many children.
        zombies: u64,
    },
    /// Do something to the target as a whole.
    Do(Doing),
}

impl Action {
    /// The action's name in the log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gate(_) => "gate",
            Self::Role { .. } => "role",
            Self::Protect { .. } => "protect",
            Self::Move { .. } => "move",
            Self::Raise { .. } => "raise",
            Self::Settle { .. } => "settle",
            Self::End(ending) => ending.how.name(),
            Self::Look => "look",
            Self::Nudge { .. } => "nudge",
            Self::Do(doing) => doing.deed.name(),
        }
    }

    /// What its name does not say.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        Some(match self {
            Self::Gate(_) | Self::Look => return None,
            Self::Role {
                process,
                role,
                program,
            } => {
                let (pid, role) = (process.pid, role.name());
                format!("pid {pid} is a {role}: {program}")
            }
            Self::Protect { process, program } => {
                format!("pid {} is a gateway, by protect: {program}", process.pid)
            }
            Self::Move { process, post } => format!("pid {} → {post:?}", process.pid),
            Self::Raise { tree, peak, .. } => format!("tree {tree} → {peak} slots"),
            Self::Settle { tree, .. } => format!("tree {tree}"),
            Self::End(ending) => ending.reason(),
            Self::Nudge {
                parent,
                comm,
                zombies,
            } => format!("{comm} (pid {}) has {zombies} zombies", parent.pid),
            Self::Do(doing) => format!("{}; it costs: {}", doing.deed, doing.deed.cost()),
        })
    }

    /// Whether it is the guard's own bookkeeping, in its own tables: it refuses nothing and touches
    /// no process, so `observe` does it too, and the log tells it to whoever asks for debug lines.
    #[must_use]
    pub fn is_bookkeeping(&self) -> bool {
        match self {
            Self::Gate(_) | Self::End(_) | Self::Nudge { .. } | Self::Do(_) => false,
            Self::Move { post, .. } => *post != Post::Nobody,
            Self::Role { .. }
            | Self::Protect { .. }
            | Self::Raise { .. }
            | Self::Settle { .. }
            | Self::Look => true,
        }
    }
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The in-kernel limiter and its settings.
    Gate,
    /// Ends trees at critical and emergency by count.
    NuclearMonitor,
    /// Restarts at nuclear, and past `restart_over`.
    HostMonitor,
    /// Ends trees by memory.
    ResourceEnforcer,
    /// Guards a container's start.
    StartupPreventer,
    /// Somebody, by a command.
    Operator,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Gate,
        Self::NuclearMonitor,
        Self::HostMonitor,
        Self::ResourceEnforcer,
        Self::StartupPreventer,
        Self::Operator,
    ];

    /// The tier's name in log and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::NuclearMonitor => "nuclear_monitor",
            Self::HostMonitor => "host_monitor",
            Self::ResourceEnforcer => "resource_enforcer",
            Self::StartupPreventer => "startup_preventer",
            Self::Operator => "operator",
        }
    }
}

/// Why something is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The target is new: its limits are not yet in force.
    New,
    /// Another mode was proved.
    ModeChanged,
    /// What memory can carry is known now.
    AutoCap,
    /// The container has started.
    Started,
    /// Its program says so.
    Program,
    /// It was found so.
    Found,
    /// Its family needs more than others.
    Family,
    /// The family has as many trees as it may have.
    Instances,
    /// Room is short.
    RoomIsShort,
    /// An operator wants it so.
    ByHand,
    /// What speaks against trees must be known to choose among them, or to see who is idle.
    Evidence,
    /// The level asks for a cleanup.
    Cleanup,
    /// The level asks for ending what can be ended.
    Emergency,
    /// Memory.
    Memory,
    /// The level asks for a restart.
    Nuclear,
    /// A restart did not help, or did not succeed.
    Again,
    /// Something was left half done.
    HalfDone,
    /// Children that have ended are not waited for.
    Zombies,
    /// The emergency is over.
    Calm,
}

impl Reason {
    /// The reason's name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new_target",
            Self::ModeChanged => "mode_changed",
            Self::AutoCap => "auto_cap",
            Self::Started => "started",
            Self::Program => "program",
            Self::Found => "found",
            Self::Family => "family",
            Self::Instances => "max_instances",
            Self::RoomIsShort => "room_is_short",
            Self::ByHand => "by_hand",
            Self::Evidence => "evidence",
            Self::Cleanup => "cleanup",
            Self::Emergency => "emergency",
            Self::Memory => "memory",
            Self::Nuclear => "nuclear",
            Self::Again => "again",
            Self::HalfDone => "half_done",
            Self::Zombies => "zombies",
            Self::Calm => "calm",
        }
    }
}

/// Where a process is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The process.
    pub process: ProcessKey,
    /// What it is and whose slot it has.
    pub place: Place,
    /// It is the first of its tree.
    pub is_root: bool,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The action's name.
    pub action: &'static str,
    /// The limits it put in force, where it did.
    pub limits: Option<GateLimits>,
    /// Where it put a process, where it did.
    pub place: Option<Placed>,
    /// What became of the tree that it was about.
    pub ended: Option<Box<Ended>>,
    /// What became of the deed that it was about.
    pub did: Option<Box<Did>>,
    /// Done, or what went wrong.
    pub kind: OutcomeKind,
}

impl Outcome {
    /// How `action` ended, where it put nothing in force.
    #[must_use]
    pub const fn of(action: &'static str, kind: OutcomeKind) -> Self {
        Self {
            action,
            limits: None,
            place: None,
            ended: None,
            did: None,
            kind,
        }
    }
}

/// Done, or what went wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum OutcomeKind {
    /// In force.
    Done,
    /// Not done: the error in words.
    Failed(String),
    /// Not tried: why the rails refused it.
    Refused(String),
}

/// Limits as an operator writes them: `400 processes, 60 spawns/s after 480 at once, by kill`.
#[must_use]
pub fn limits_in_words(limits: &GateLimits) -> String {
    let mode = GateMode::from_u32(limits.mode).map_or("unknown", GateMode::name);
    let cap = match limits.max_processes {
        u64::MAX => "any number of processes".to_owned(),
        cap => format!("{cap} processes"),
    };
    match 1_000_000_000_u64.checked_div(limits.token_ns) {
        Some(rate) => format!(
            "{cap}, {rate} spawns/s after {} at once, by {mode}",
            limits.burst
        ),
        None => format!("{cap}, any rate, by {mode}"),
    }
}
