//! What speaks for and against a target's trees, as the host showed it at one moment.

use super::ProcessKey;

/// All of a target at one moment: the answer to [`Action::Look`](super::Action::Look).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Its trees and entries from outside that could be looked at, by id.
    pub trees: Vec<TreeEvidence>,
    /// Parents with children that have ended and were not waited for.
    pub zombies: Vec<Zombies>,
}

/// One tree, or one entry from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeEvidence {
    /// Its id.
    pub tree: u64,
    /// CPU time of its leaves (the processes without children in it), in ns: while it stands still, the
    /// server is idle. (npm itself is never quite: workload.md.)
    pub leaf_cpu_ns: u64,
    /// Resident memory of all its processes, shared pages counted in each, in bytes.
    pub memory_bytes: u64,
    /// Who writes to its root's standard input.
    pub writer: Writer,
    /// Its root's parent is no gateway any more: whoever asked for it is gone.
    pub orphan: bool,
}

/// Who writes to a standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writer {
    /// Somebody may.
    There,
    /// Nobody can any more: the other end of its socket or pipe is closed.
    Gone,
    /// It is a file, a terminal, nothing, or could not be looked at.
    #[default]
    Unknown,
}

/// Children that have ended and that their parent has not waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zombies {
    /// Their parent.
    pub parent: ProcessKey,
    /// Its name, for showing.
    pub comm: String,
    /// How many.
    pub count: u64,
}

/// Why a tree is chosen, the strongest reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ground {
    /// Whoever asked for it is gone.
    Orphan,
    /// Nobody can write to its standard input any more.
    NoWriter,
    /// One of more than its family's `allowed_instances`, and idle for so many seconds.
    IdleDuplicate(u64),
    /// One of more than its family's `allowed_instances`, of the family that grows fastest.
    Storming,
    /// The configuration calls it expendable; in an emergency.
    Expendable,
    /// The parent of more zombies than `zombie_limit`.
    Zombies,
    /// In an emergency: it takes most memory of what is more than healthy.
    Biggest,
    /// In an emergency: the oldest of what is more than healthy.
    Oldest,
    /// The count alone, as `strict` wants it.
    Count,
    /// An entry from outside, in an emergency.
    Guest,
}

impl Ground {
    /// Its name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::NoWriter => "no_writer",
            Self::IdleDuplicate(_) => "idle_duplicate",
            Self::Storming => "storming",
            Self::Expendable => "expendable",
            Self::Zombies => "zombies",
            Self::Biggest => "biggest",
            Self::Oldest => "oldest",
            Self::Count => "count",
            Self::Guest => "guest",
        }
    }

    /// The same as a sentence's end: `it is an orphan`.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::Orphan => "whoever asked for it is gone".to_owned(),
            Self::NoWriter => "nobody can write to its standard input any more".to_owned(),
            Self::IdleDuplicate(seconds) => {
                format!("it is one of more than its family's allowed, idle for {seconds} s")
            }
            Self::Storming => "it is one of more than allowed of the family that grows".to_owned(),
            Self::Expendable => "the configuration calls it expendable".to_owned(),
            Self::Zombies => "it does not wait for its children".to_owned(),
            Self::Biggest => "it takes most memory of what is more than healthy".to_owned(),
            Self::Oldest => "it is the oldest of what is more than healthy".to_owned(),
            Self::Count => "the count alone, as strict wants it".to_owned(),
            Self::Guest => "an emergency, and it came from outside".to_owned(),
        }
    }
}

/// What the container's own health check says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It has none, or it could not be asked.
    #[default]
    Unknown,
    /// It has not answered yet since the start.
    Starting,
    /// It answers.
    Healthy,
    /// It does not.
    Unhealthy,
}

impl Health {
    /// Its name in log and status, as Docker has it; `unknown` where there is none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}
