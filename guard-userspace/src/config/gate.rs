//! Values of the in-kernel limiter. What they mean in detail: the gate's chapter of
//! ARCHITECTURE.md.

use super::checked::AUTO_MAX_PROCESSES;
use super::units::write_time;
use core::time::Duration;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// The in-kernel limiter's values for one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GateConfig {
    /// Cap on live processes.
    pub max_processes: Cap,
    /// Spawns per second in the long run; 1 to 1,000,000.
    pub spawn_rate: u64,
    /// Spawns at once.
    pub spawn_burst: u64,
    /// As `spawn_rate`, while a container starts.
    pub startup_rate: u64,
    /// As `spawn_burst`, while a container starts.
    pub startup_burst: u64,
    /// Slots below the cap that only the container's own wrappers may take.
    pub reserve: u64,
    /// Processes of one entry from outside (`docker exec`), beside the cap.
    pub guest_processes: u64,
    /// Processes without a slot at a time: condemned, or on their way to a stop.
    pub newborn_max: u64,
    /// Longest wait for a slot.
    #[serde(serialize_with = "write_time")]
    pub park_for: Duration,
    /// Most that wait at a time; 0: nothing ever waits.
    pub parked_max: u64,
    /// What a gateway's spawn asks for.
    pub tree: Tree,
    /// Programs whose children still keep the container alive: globs.
    pub wrappers: Vec<String>,
    /// Programs that may wait for a slot: globs. Empty: nothing ever waits.
    pub servers: Vec<String>,
    /// Most trees per family pattern; a family without an entry has no such limit.
    pub max_instances: BTreeMap<String, u64>,
    /// Modes that may be used, best first; never empty.
    pub modes: Vec<Rung>,
    /// Which errno a denied exec may give.
    pub deny_errno: DenyErrno,
}

impl GateConfig {
    /// Whether any spawn may be made to wait for a slot.
    #[must_use]
    pub const fn may_wait(&self) -> bool {
        self.parked_max > 0 && !self.servers.is_empty()
    }
}

/// A cap on live processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// What memory can carry.
    Auto,
    /// A number, 1 to 65,536.
    Count(u64),
}

impl Cap {
    /// The cap in processes.
    #[must_use]
    pub const fn processes(self) -> u64 {
        match self {
            Self::Auto => AUTO_MAX_PROCESSES,
            Self::Count(count) => count,
        }
    }
}

impl Serialize for Cap {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Count(count) => to.serialize_u64(*count),
        }
    }
}

/// What a gateway's spawn asks for, all or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// Slots; at least 1.
    pub processes: u64,
    /// Tokens; at least 1.
    pub spawns: u64,
    /// Time without fork or exec after which a tree's spare slots may be taken back.
    #[serde(serialize_with = "write_time")]
    pub settle: Duration,
}

/// A way to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The fork fails, by BPF LSM.
    Lsm,
    /// The fork fails, by a modified return.
    FmodRet,
    /// The exec fails, by fanotify.
    Deny,
    /// The child dies.
    Kill,
}

impl Rung {
    /// All, best first.
    pub const ALL: [Self; 4] = [Self::Lsm, Self::FmodRet, Self::Deny, Self::Kill];

    /// The name in config, log and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lsm => "lsm",
            Self::FmodRet => "fmod_ret",
            Self::Deny => "deny",
            Self::Kill => "kill",
        }
    }
}

/// Which errno a denied exec may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DenyErrno {
    /// EAGAIN alone: where the kernel can only say EPERM, `deny` is not used.
    Eagain,
    /// EPERM too.
    Any,
}
