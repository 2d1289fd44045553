//! All that can happen, as one closed enum.

use super::kin::{Birth, Survey, TreeSeen};
use super::{CgroupId, Evidence, Health, Order, Outcome, ProcessKey, Stamp, TargetId};
use guard_common::tree::Place;
use guard_common::{GateLimits, GateMode, TargetCounters};

/// Something happened to a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// When.
    pub at: Stamp,
    /// To whom.
    pub target: TargetId,
    /// What.
    pub kind: InputKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum InputKind {
    /// A second with events in it ended; counts are totals since the target was first armed.
    Rate {
        /// The second, of CLOCK_BOOTTIME.
        second: u64,
        /// Slots taken at its end.
        committed: u64,
        /// The counts at its end.
        counters: TargetCounters,
    },
    /// A spawn met a limit.
    Breach {
        /// Which one.
        limit: Limit,
        /// What became of the spawn.
        verdict: BreachVerdict,
        /// Thread-group id of the spawner, for showing only.
        pid: u32,
        /// The spawner's name.
        comm: String,
        /// Slots taken.
        committed: u64,
        /// The cap.
        max_processes: u64,
    },
    /// A process was made, by a fork or by entering from outside. Sampled under load.
    Spawned {
        /// The process.
        process: ProcessKey,
        /// Thread-group id of the parent; 0: entered from outside.
        parent: u32,
        /// Its name, which is its parent's until it executes a program.
        comm: String,
        /// What it is and whose slot it has; nobody's: born over a limit.
        place: Place,
        /// How it came.
        birth: Birth,
    },
    /// A process executed a program. Sampled under load.
    Execed {
        /// The process.
        process: ProcessKey,
        /// Its command line, masked.
        argv: Vec<String>,
    },
    /// A process ended, or left the target. Sampled under load.
    Exited {
        /// The process.
        process: ProcessKey,
        /// Wait status: signal in the low 7 bits, exit code above the low 8.
        status: u32,
    },
    /// All of the target was looked at, since not all that happened to it was seen.
    Surveyed(Survey),
    /// It was looked at.
    Trees {
        /// Its trees and entries from outside, all of them.
        seen: Vec<TreeSeen>,
        /// Slots taken: what the agent gives back or takes itself is in no sample.
        committed: u64,
    },
    /// Memory was read.
    Memory {
        /// Bytes charged to the target's cgroup.
        bytes: u64,
        /// Its limit in bytes; `None`: no limit.
        limit: Option<u64>,
        /// Of the bytes, what the kernel gives back by itself: pages of files that nobody used lately.
        reclaimable: u64,
    },
    /// Its trees were looked at more closely.
    Evidence(Evidence),
    /// The host's memory pressure was read.
    Pressure {
        /// Share of the last 10 s in which all that could run waited for memory, in hundredths of a
        /// percent (`full avg10` of /proc/pressure/memory).
        full_avg10: u64,
    },
    /// What the container's own health check says.
    Health(Health),
    /// The gate's mode was proved, or failed to prove itself.
    Gate {
        /// The mode now in force.
        mode: GateMode,
        /// Whether the canary has shown that it refuses.
        proved: bool,
        /// What a refused spawn says; `None`: nothing, its process dies.
        errno: Option<SpawnErrno>,
        /// Why, in words for the operator.
        why: String,
    },
    /// The target's cgroup is there and counted.
    Up {
        /// The cgroup.
        cgroup: CgroupId,
        /// Its path below the v2 mount.
        path: String,
        /// Processes that were in it already.
        adopted: u64,
        /// An earlier agent has had it: its counts and limits until now.
        inherited: Option<Box<Inherited>>,
        /// Armed by the kernel before its first process.
        from_birth: bool,
        /// Start of the container in ns of CLOCK_BOOTTIME; 0: not known, or no container.
        started_ns: u64,
    },
    /// The target's cgroup is gone.
    Down {
        /// Why, in words for the operator.
        why: String,
    },
    /// Something could not be observed.
    Lost {
        /// Where it was lost: `ring`, `decode`, `recursion`.
        source: &'static str,
        /// How many, in all.
        total: u64,
    },
    /// An operator wants something done.
    Operator(Order),
    /// An earlier agent was ended in the middle of a deed, or left it half done.
    HalfDone,
    /// An action ended.
    Outcome(Outcome),
    /// Time passed.
    Tick,
}

/// What a refused spawn says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnErrno {
    /// EAGAIN: try again later.
    Eagain,
    /// EPERM: all that kernels before 6.13 can say for an exec that is denied.
    Eperm,
}

impl SpawnErrno {
    /// Its name in log and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eagain => "EAGAIN",
            Self::Eperm => "EPERM",
        }
    }
}

/// Which limit a spawn met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `max_processes`.
    Processes,
    /// `spawn_rate` and `spawn_burst`.
    Rate,
    /// A table of the guard's own was full.
    Table,
    /// `guest_processes`.
    Guests,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Processes, Self::Rate, Self::Table, Self::Guests];

    /// The limit's name in log and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processes => "max_processes",
            Self::Rate => "spawn_rate",
            Self::Table => "process_table",
            Self::Guests => "guest_processes",
        }
    }
}

/// What became of a spawn that met a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreachVerdict {
    /// Its fork failed with EAGAIN.
    Denied,
    /// Its process executes nothing: in `deny` its exec fails, in `kill` it dies.
    Condemned,
    /// `observe`: it went through.
    Observed,
}

impl BreachVerdict {
    /// The verdict's name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Condemned => "condemned",
            Self::Observed => "observed",
        }
    }
}

/// What an earlier agent has left of a target, held by the kernel alone until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// Its counts: they went on.
    pub counters: TargetCounters,
    /// The limits that were in force.
    pub limits: GateLimits,
    /// Its cgroup is the one that was held; else it is another one, and only its slot is the same.
    pub held: bool,
}

impl Inherited {
    /// Processes that were in it.
    #[must_use]
    pub const fn processes(&self) -> u64 {
        self.counters.live + self.counters.guests
    }
}
