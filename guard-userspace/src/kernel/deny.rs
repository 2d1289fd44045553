//! The mode `deny`: a condemned process's exec fails, which its spawner takes for a spawn that failed.
//!
//! The kernel asks before it opens a program to execute it (fanotify, FAN_OPEN_EXEC_PERM), and the
//! process waits for the answer. So whoever marks a mount must live and answer:
//!
//! - [`probe`] finds out what this kernel can be told, by an exec of its own;
//! - [`marks`] asks about what the targets' members see, near the limits alone;
//! - [`answer`] is the thread that answers; it waits for nobody;
//! - [`heart`] is what the guardian watches: a thread that hangs for a second ends with its process,
//!   and the kernel lets all go on.
//!
//! What is executed unseen (from a mount that came later, from memory, from another host's
//! filesystem) is for the mode `kill` to end, which stands behind every mode.

mod answer;
mod descriptors;
mod group;
pub mod heart;
mod marks;
mod mountinfo;
pub mod probe;
mod tally;
mod view;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use answer::{Answerer, Shared};
use group::Answer;
use heart::Heart;
use marks::Marks;

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
    /// EAGAIN: a failed spawn to everyone. 6.12 cannot say that, 6.18 can.
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

/// How the thread decides.
pub struct Judge {
    /// Says what becomes of the exec of a process (thread group); 0 is one outside our pid
    /// namespace. It runs while that process waits: it must not wait, lock or execute, and should
    /// not allocate.
    pub look: Box<dyn Fn(i32) -> Verdict + Send + Sync>,
    /// Descriptors that `look` uses (a map's). They must be open as long as the [`Deny`] is; all
    /// others are not open in its thread.
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

/// How the answering thread could be set up. It answers in any case.
#[derive(Debug)]
pub struct Started {
    /// Whether it has a table of descriptors of its own, or else feels it when the agent has none
    /// left.
    pub own_descriptors: io::Result<()>,
    /// What [`Judge::urgent`] said.
    pub urgent: io::Result<()>,
}

/// A target whose execs are to be asked about.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its slot.
    pub target: u32,
    /// Its processes; at least one of each mount namespace that they are in.
    pub members: &'a [u32],
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
    #[error("cannot ask about a file: {0}")]
    File(#[source] io::Error),
}

/// Marks and the thread that answers. Dropped, nothing is marked and whoever waits goes on.
#[derive(Debug)]
pub struct Deny {
    // The order is that of the end: no new questions, no answers, and the group is closed, which
    // lets go on who came in between.
    marks: Marks,
    _answerer: Answerer,
    shared: Arc<Shared>,
}

impl Deny {
    /// Starts the thread; nothing is marked yet.
    ///
    /// # Errors
    /// The kernel's; ask [`probe::probe`] first.
    pub fn start(refusal: Refusal, judge: Judge) -> Result<(Self, Started), DenyError> {
        let shared = Arc::new(Shared::new().map_err(DenyError::Start)?);
        let (answerer, started) = Answerer::start(Arc::clone(&shared), refusal.answer(), judge)
            .map_err(DenyError::Start)?;
        let deny = Self {
            marks: Marks::new(Arc::clone(&shared)),
            _answerer: answerer,
            shared,
        };
        Ok((deny, started))
    }

    /// From now on exactly what these targets' members see is asked about; nobody wanted: nothing.
    /// To be said again a few times a second while a target is near its limits, which finds mounts
    /// that came meanwhile, and at once when nobody is.
    ///
    /// `is_member(target, pid)` is asked of each process while it cannot change its pid: so no pid
    /// that was given to a stranger since `members` was made leads to a stranger's mounts.
    ///
    /// # Errors
    /// [`DenyError::LetGo`] or [`DenyError::Heart`]; nothing new is marked then.
    pub fn cover(
        &mut self,
        wanted: &[Wanted<'_>],
        is_member: &dyn Fn(u32, u32) -> bool,
    ) -> Result<&Covered, DenyError> {
        self.marks.cover(wanted, is_member)
    }

    /// Execs of one file are asked about, wherever it is seen, until [`Self::forget_file`]: the
    /// canary's program, whose mount is the host's.
    ///
    /// # Errors
    /// As [`Self::cover`], and the kernel's.
    pub fn watch_file(&mut self, file: BorrowedFd<'_>) -> Result<(), DenyError> {
        self.marks.watch_file(file)
    }

    /// Takes [`Self::watch_file`] back.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget_file(&mut self, file: BorrowedFd<'_>) -> Result<(), DenyError> {
        self.marks.forget_file(file)
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
