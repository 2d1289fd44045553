//! What is counted and what is allowed, one value of each per target.

use crate::bucket::Shape;
use crate::tree::Terms;
use bytemuck::{Pod, Zeroable};

/// How the gate refuses, as the agent sets it for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum GateMode {
    /// Counts only; refuses nothing.
    Observe = 0,
    /// Over the limit a child is condemned and dies at its first exec or fork.
    Kill = 1,
    /// The fork itself fails with EAGAIN (BPF LSM, `security_task_alloc`).
    Lsm = 2,
    /// As `Kill` in the kernel; the agent denies a condemned child's exec before it comes to that
    /// (fanotify).
    Deny = 3,
    /// As `Lsm`, by programs that modify the return of `security_task_alloc` (fmod_ret): where the
    /// kernel's `lsm=` list lacks bpf.
    FmodRet = 4,
}

impl GateMode {
    /// The mode of a number from the kernel; `None` for one that this version does not know.
    #[must_use]
    pub const fn from_u32(n: u32) -> Option<Self> {
        match n {
            0 => Some(Self::Observe),
            1 => Some(Self::Kill),
            2 => Some(Self::Lsm),
            3 => Some(Self::Deny),
            4 => Some(Self::FmodRet),
            _ => None,
        }
    }

    /// The mode's name in config, log and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Kill => "kill",
            Self::Lsm => "lsm",
            Self::Deny => "deny",
            Self::FmodRet => "fmod_ret",
        }
    }
}

/// What a target is, which says what a process is that enters it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TargetKind {
    /// A cgroup: whoever enters is the root of a tree.
    Cgroup = 0,
    /// A container: the first to enter is its spine, the others are guests.
    Container = 1,
}

/// Limits of one target, written by the agent alone.
///
/// The kernel copies it word by word, so a reader may see old and new words beside each other for
/// an instant; each word is right by itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct GateLimits {
    /// Most live processes.
    pub max_processes: u64,
    /// Nanoseconds per spawn in the long run; 0: no rate limit.
    pub token_ns: u64,
    /// Spawns at once from a full bucket.
    pub burst: u64,
    /// As `token_ns`, while a container starts.
    pub startup_token_ns: u64,
    /// As `burst`, while a container starts.
    pub startup_burst: u64,
    /// Length of the start-up window; 0: none.
    pub startup_ns: u64,
    /// Slots below `max_processes` that only wrappers may take.
    pub reserve: u64,
    /// Slots that a root asks for; at least 1.
    pub tree_processes: u64,
    /// Tokens that a root asks for.
    pub tree_spawns: u64,
    /// Most processes of one entry from outside.
    pub guest_processes: u64,
    /// Most condemned processes that are let run to their end; the rest die at birth, where the
    /// kernel can do that.
    pub newborn_max: u64,
    /// A [`GateMode`].
    pub mode: u32,
    /// A [`TargetKind`].
    pub kind: u32,
}

impl GateLimits {
    /// Counts and refuses nothing.
    pub const OBSERVE: Self = Self {
        max_processes: u64::MAX,
        token_ns: 0,
        burst: 0,
        startup_token_ns: 0,
        startup_burst: 0,
        startup_ns: 0,
        reserve: 0,
        tree_processes: 1,
        tree_spawns: 1,
        guest_processes: u64::MAX,
        newborn_max: u64::MAX,
        mode: GateMode::Observe as u32,
        kind: TargetKind::Cgroup as u32,
    };

    /// What the gate allows.
    #[inline(always)]
    #[must_use]
    pub const fn terms(&self) -> Terms {
        Terms {
            max_processes: self.max_processes,
            reserve: self.reserve,
            tree_processes: self.tree_processes,
            tree_spawns: self.tree_spawns,
            guest_processes: self.guest_processes,
        }
    }

    /// The bucket in force at `now_ns`, for a container that started at `started_ns` (0: it did
    /// not start under the guard).
    #[inline(always)]
    #[must_use]
    pub const fn shape(&self, started_ns: u64, now_ns: u64) -> Shape {
        if started_ns != 0 && now_ns < started_ns.saturating_add(self.startup_ns) {
            Shape {
                token_ns: self.startup_token_ns,
                burst: self.startup_burst,
            }
        } else {
            Shape {
                token_ns: self.token_ns,
                burst: self.burst,
            }
        }
    }
}

/// The gate's own words, one value per target, written by the kernel side alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct GateState {
    /// Slots taken: [`crate::slots`].
    pub committed: u64,
    /// The bucket's word: [`crate::bucket`].
    pub full_at: u64,
    /// Start of the container in ns of CLOCK_BOOTTIME; 0: none seen.
    pub started_ns: u64,
    /// The second (of CLOCK_BOOTTIME) of the last counted event.
    pub second: u64,
    /// When the last breach was written.
    pub breach_ns: u64,
    /// The second that `details` belongs to.
    pub detail_second: u64,
    /// Process records written in that second.
    pub details: u64,
    /// Condemned processes alive that were not sentenced at birth: at most
    /// [`GateLimits::newborn_max`] where the kernel can kill the others there.
    pub newborns: u64,
}

/// Exact counts of one target, written by the kernel side alone. Gauges are `live`, `guests`,
/// `tasks`, `trees`, `parked` and `condemned_now`; the rest only grow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct TargetCounters {
    /// Processes alive, without guests and condemned ones. Zombies are not alive.
    pub live: u64,
    /// Processes alive that came from outside, or descend from one that did.
    pub guests: u64,
    /// Tasks (threads) alive, those of condemned processes too.
    pub tasks: u64,
    /// Trees alive.
    pub trees: u64,
    /// Forks that made a process, condemned ones too.
    pub spawns: u64,
    /// Forks that made a thread.
    pub threads: u64,
    /// Successful execs.
    pub execs: u64,
    /// Processes that ended, condemned ones too.
    pub exits: u64,
    /// Processes waiting; 0 until waiting exists.
    pub parked: u64,
    /// Spawns refused: forks in `lsm`, processes whose exec failed in `deny` (also `condemned`).
    pub denied: u64,
    /// Forks over the limit that could not be refused.
    pub condemned: u64,
    /// Condemned processes still alive.
    pub condemned_now: u64,
    /// Condemned processes sent SIGKILL, by the kernel side (at birth, at their exec or fork) or the agent.
    pub killed: u64,
    /// Forks that `observe` let through and the limits would have refused.
    pub would_refuse: u64,
    /// Processes that entered from outside or were there at arming.
    pub entered: u64,
    /// Processes that left the target alive.
    pub left: u64,
    /// Most live processes ever.
    pub peak_live: u64,
    /// Records that could not be written: ring buffer full.
    pub lost: u64,
    /// Process records left out under load, on purpose.
    pub sampled: u64,
    /// Forks refused because a table was full or a word contended, beside the limits.
    pub table_full: u64,
}
