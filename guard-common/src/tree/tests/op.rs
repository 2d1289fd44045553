//! What the CPUs of a scene do, and how that ends.

use super::state::Pid;
use crate::tree::adjust::Became;
use crate::tree::force::{Moved, Post};
use crate::tree::place::Role;
use crate::tree::{Left, Refusal};

/// What a CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `parent` forks `child`; where it `fails` after the gate, it gives back.
    Fork {
        parent: Pid,
        child: Pid,
        fails: bool,
    },
    /// A thread of a process that ends, past the last; or the process is moved outside.
    Exit(Pid),
    /// A process that cannot be refused: at arming, or from outside.
    Enter(Pid, Post),
    /// Its program says what a process of the spine is.
    Spine(Pid, Role),
    /// The root's family has had this many; below so many slots there is room for more.
    Raise(Pid, u64, u64),
    /// The root's tree has been quiet; its floor.
    Settle(Pid, u64),
    /// The root is a gateway.
    Protect(Pid),
    /// The process goes elsewhere.
    Move(Pid, Post),
    /// The process joins the account of the second; its reservation grows.
    Follow(Pid, Pid),
    /// Another cap.
    Cap(u64),
}

impl Op {
    /// The processes that must be there, or known not to come.
    pub fn needs(self) -> impl Iterator<Item = Pid> {
        let (one, two) = match self {
            Self::Fork { parent, .. } => (Some(parent), None),
            Self::Exit(pid)
            | Self::Spine(pid, _)
            | Self::Raise(pid, _, _)
            | Self::Settle(pid, _)
            | Self::Protect(pid)
            | Self::Move(pid, _) => (Some(pid), None),
            Self::Follow(pid, other) => (Some(pid), Some(other)),
            Self::Enter(..) | Self::Cap(_) => (None, None),
        };
        one.into_iter().chain(two)
    }
}

/// How an operation ended, for what is checked at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Entered(bool),
    Refused(Refusal),
    Left(Left),
    Moved(Moved),
    Became(Became),
    Slots(u64),
}
