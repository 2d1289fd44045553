//! The mode `deny`: a condemned process's exec fails, which its spawner takes for a spawn that failed.
//!
//! The kernel asks before it opens a program to execute it (fanotify, FAN_OPEN_EXEC_PERM), and the
//! process waits for the answer. So whoever marks a mount must live and answer:
//!
//! - [`probe`] finds out what this kernel can be told, by an exec of its own;
//! - `marks` asks about what the targets' members see, near the limits alone; `keeper` is its thread;
//! - `answer` is the thread that answers; it waits for nobody;
//! - [`heart`] is what the guardian watches: a thread that hangs for a second ends with its process,
//!   and the kernel lets all go on.
//!
//! What is executed unseen (from a mount that came later, from memory, from another host's
//! filesystem) is for the mode `kill` to end, which stands behind every mode.

mod answer;
mod descriptors;
mod group;
pub mod heart;
mod keeper;
mod marks;
mod mountinfo;
pub mod probe;
mod question;
mod round;
mod shared;
mod tally;
mod view;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use heart::Heart;
use keeper::{Keeper, Task};
use question::Answer;
use shared::Shared;

pub use tally::Counts;

/// What becomes of an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Allow,
    /// It fails.
    Deny,
}

/// What a denied exec says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// EAGAIN: a failed spawn to everyone. 6.12 cannot say that, 6.16 can.
    Eagain,
    /// EPERM: Node throws it instead of reporting it.
    Eperm,
}

impl Refusal {
    const fn answer(self) -> Answer {
        match self {
            Self::Eagain => Answer::Eagain,
            Self::Eperm => Answer::Eperm,
        }
    }
}

/// How the threads decide.
pub struct Judge {
    /// Says what becomes of the exec of a process (thread group); 0 is one outside our pid
    /// namespace. It runs while that process waits: it must not wait, lock or execute, and should
    /// not allocate.
    pub look: Box<dyn Fn(i32) -> Verdict + Send + Sync>,
    /// Says whether a process is of a target. It is asked while the process is held, so that no pid
    /// that was given to a stranger since [`Wanted`] was made leads to a stranger's mounts.
    pub belongs: Box<dyn Fn(u32, u32) -> bool + Send + Sync>,
    /// Descriptors that the two use (a map's). They must stay open as long as the [`Deny`] lives;
    /// no other is open in its threads.
    pub descriptors: Vec<RawFd>,
    /// Makes the calling thread come before others (SCHED_FIFO), where it may.
    pub urgent: fn() -> io::Result<()>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let descriptors = &self.descriptors;
        to.debug_struct("Judge")
            .field("descriptors", descriptors)
            .finish_non_exhaustive()
    }
}

/// How the threads could be set up. They work in any case.
#[derive(Debug)]
pub struct Started {
    /// Whether they have a table of descriptors of their own. Without it they feel it when the agent
    /// has none left, and a child of the agent that dies with it may keep others waiting.
    pub own_descriptors: io::Result<()>,
    /// What [`Judge::urgent`] said.
    pub urgent: io::Result<()>,
}

/// A target whose execs are to be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its slot.
    pub target: u32,
    /// Its processes; at least one of each mount namespace that they are in.
    pub members: Vec<u32>,
}

/// What is asked about now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Mounts that are marked.
    pub mounts: usize,
    /// Mounts that nothing can be executed from.
    pub noexec: usize,
    /// Mounts of FUSE and network filesystems and what is mounted on them, left out.
    pub remote: usize,
    /// Mounts that the kernel does not let us ask about (proc).
    pub unmarkable: usize,
    /// Mounts hidden under others, or gone while we looked.
    pub hidden: usize,
    /// Targets with members in the host's own mount namespace, for which all execs of the host ask.
    pub on_host: BTreeSet<u32>,
}

/// Why nothing is denied.
#[derive(Debug, thiserror::Error)]
pub enum DenyError {
    /// No group, no thread.
    #[error("cannot answer execs: {0}")]
    Start(#[source] io::Error),
    /// The thread could not read who asks, or panicked, and has allowed all since then.
    #[error(
        "execs are let through: the thread that answers could not read who asks; is the limit of \
         open files (LimitNOFILE=) too low?"
    )]
    LetGo,
    /// The guardian could not be told.
    #[error("nothing may be marked, since the guardian cannot be told of it: {0}")]
    Heart(#[source] io::Error),
    /// A single file.
    #[error("cannot ask about {path}: {1}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The thread that marks is still at it.
    #[error("finding the mounts takes long: does a filesystem hang? Asked again at the next round")]
    Late,
}

/// Marks and the thread that answers. Dropped, nothing is marked and whoever waits goes on.
#[derive(Debug)]
pub struct Deny {
    keeper: Keeper,
    shared: Arc<Shared>,
    /// Dropped here: what it holds was opened in this table of descriptors.
    _judge: Arc<Judge>,
}

impl Deny {
    /// Starts the threads; nothing is marked yet.
    ///
    /// # Errors
    /// The kernel's; ask [`probe::probe`] first.
    pub fn start(refusal: Refusal, judge: Judge) -> Result<(Self, Started), DenyError> {
        let start = || {
            let shared = Arc::new(Shared::new()?);
            let judge = Arc::new(judge);
            let (keeper, started) =
                Keeper::start(Arc::clone(&shared), refusal.answer(), Arc::clone(&judge))?;
            let deny = Self {
                keeper,
                shared,
                _judge: judge,
            };
            Ok((deny, started))
        };
        start().map_err(DenyError::Start)
    }

    /// From now on exactly what these targets' members see is asked about; nobody wanted: nothing.
    /// To be said again a few times a second while a target is near its limits, which finds mounts
    /// that came meanwhile, and at once when nobody is.
    ///
    /// # Errors
    /// [`DenyError::LetGo`] or [`DenyError::Heart`]: nothing new is marked.
    /// [`DenyError::Late`]: say it again.
    pub fn cover(&self, wanted: Vec<Wanted>) -> Result<Covered, DenyError> {
        self.keeper.does(Task::Cover(wanted))
    }

    /// Execs of one file are asked about, wherever it is seen, until [`Self::forget_file`]: the
    /// canary's program, whose mount is the host's.
    ///
    /// # Errors
    /// As [`Self::cover`], and the kernel's.
    pub fn watch_file(&self, file: &Path) -> Result<(), DenyError> {
        self.keeper.does(Task::Watch(file.to_owned())).map(drop)
    }

    /// Takes [`Self::watch_file`] back.
    ///
    /// # Errors
    /// As [`Self::watch_file`].
    pub fn forget_file(&self, file: &Path) -> Result<(), DenyError> {
        self.keeper.does(Task::Forget(file.to_owned())).map(drop)
    }

    /// What the thread has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.tally.counts()
    }

    /// How long ago the thread last beat. More than [`heart::STALE`]: it hangs.
    #[must_use]
    pub fn beaten_before(&self) -> Duration {
        let ago = heart::now_ns().saturating_sub(self.shared.heart.beat_ns());
        Duration::from_nanos(ago)
    }

    /// Whether it allows all by now; then only a new one denies again.
    #[must_use]
    pub fn has_let_go(&self) -> bool {
        self.shared.has_let_go()
    }

    /// What the guardian watches.
    #[must_use]
    pub fn heart(&self) -> BorrowedFd<'_> {
        Heart::as_fd(&self.shared.heart)
    }
}
