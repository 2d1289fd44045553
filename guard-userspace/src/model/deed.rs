//! What is done to a target as a whole, beside its gate: frozen, limited, cut off, restarted.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Stop all of it: cgroup.freeze. It is thawed when the agent ends, however that comes.
    Freeze,
    /// Let it go on.
    Thaw,
    /// Disconnect the container from its networks.
    Isolate,
    /// Connect it again to those that [`Self::Isolate`] took it from.
    Rejoin,
    /// Put Docker's own limits in force.
    Limit(DockerLimits),
    /// Stop the container, so gently as it lets itself be, and start it.
    Restart {
        /// Time it has to stop, in seconds.
        stop_s: u64,
    },
    /// Remove the container and make it anew.
    Recreate {
        /// Time it has to stop, in seconds.
        stop_s: u64,
    },
    /// Bring to an end what was begun of [`Self::Restart`] or [`Self::Recreate`], by an earlier agent or
    /// until Docker was lost.
    Resume,
}

impl Deed {
    /// Its name in commands, log and journal.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Isolate => "isolate",
            Self::Rejoin => "rejoin",
            Self::Limit(_) => "limit",
            Self::Restart { .. } => "restart",
            Self::Recreate { .. } => "recreate",
            Self::Resume => "resume",
        }
    }

    /// What it costs whoever uses the target.
    #[must_use]
    pub const fn cost(&self) -> &'static str {
        match self {
            Self::Freeze => "nothing in it answers until it is thawed",
            Self::Thaw | Self::Resume => "nothing",
            Self::Isolate => "no client reaches it, and it reaches nobody, until it rejoins",
            Self::Rejoin => "nothing",
            Self::Limit(_) => "nothing while it stays below them",
            Self::Restart { .. } => "all sessions end, and all servers start anew",
            Self::Recreate { .. } => {
                "all sessions end, what was written inside the container is lost (the package cache \
                 too: all servers start cold)"
            }
        }
    }

    /// Whether it makes the container's processes end.
    #[must_use]
    pub const fn restarts(&self) -> bool {
        matches!(self, Self::Restart { .. } | Self::Recreate { .. })
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(limits) => write!(out, "limit: {limits}"),
            deed => out.write_str(deed.name()),
        }
    }
}

/// A deed, and who ordered it.
#[derive(Clone, Debug, PartialEq)]
pub struct Doing {
    /// The order's number; 0: the agent's own accord.
    pub order: u64,
    /// What.
    pub deed: Deed,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Did {
    /// What was to be done.
    pub doing: Doing,
    /// What was read back, or each step's outcome, in words.
    pub steps: Vec<Step>,
    /// How it leaves the target.
    pub left: Left,
}

/// How a deed leaves the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Left {
    /// As it was, or as it was to be.
    #[default]
    Whole,
    /// Stopped, and it could not be started any more.
    Down,
    /// In the middle of it, since Docker was lost: to be resumed.
    Half,
}

/// One step of a deed, or one value that was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What: `memory`, `stop`.
    pub what: String,
    /// What was wanted; empty where there is no value.
    #[serde(default)]
    pub wanted: String,
    /// What it is now, as it was read back, or how the step went.
    pub found: String,
    /// As wanted.
    pub ok: bool,
}

/// Docker's own limits, in its units. `None`: left as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DockerLimits {
    /// Most memory, in bytes.
    pub memory: Option<u64>,
    /// Memory that is kept under pressure, in bytes.
    pub memory_reservation: Option<u64>,
    /// Memory and swap together, in bytes.
    pub memory_swap: Option<u64>,
    /// CPUs in billionths.
    pub nano_cpus: Option<u64>,
    /// Open files of each process: soft and hard.
    pub nofile: Option<(u64, u64)>,
    /// Tasks, as a back-stop far above what the gate lets live.
    pub pids: Option<u64>,
}

impl fmt::Display for DockerLimits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut say = |out: &mut fmt::Formatter<'_>, name: &str, value: String| {
            let comma = if core::mem::take(&mut first) {
                ""
            } else {
                ", "
            };
            write!(out, "{comma}{name} {value}")
        };
        let numbers = [
            ("memory", self.memory),
            ("memory_reservation", self.memory_reservation),
            ("memory_swap", self.memory_swap),
            ("nano_cpus", self.nano_cpus),
            ("pids", self.pids),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                say(out, name, value.to_string())?;
            }
        }
        if let Some((soft, hard)) = self.nofile {
            say(out, "nofile", format!("{soft}:{hard}"))?;
        }
        Ok(())
    }
}
