//! Processes that the gate's roles depend on, and trees, as they were seen.

use super::ProcessKey;
use guard_common::tree::Place;

/// How a process came into its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    /// Forked by one of the target's.
    Forked,
    /// Forked by a gateway, or entered a cgroup target: the first of its tree.
    Root,
    /// Entered a container from outside, or was there at arming.
    Entered,
}

/// A process as /proc and the kernel side show it at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The process.
    pub process: ProcessKey,
    /// Its parent's thread-group id.
    pub parent: u32,
    /// Its session: the pid of that session's first process.
    pub session: u32,
    /// Its command line, masked.
    pub argv: Vec<String>,
    /// What it is and whose slot it has.
    pub place: Place,
}

/// All of a target at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Its processes.
    pub processes: Vec<Found>,
    /// Its trees and entries from outside.
    pub trees: Vec<TreeSeen>,
    /// Pid of the container's init, where there is one.
    pub init: Option<u32>,
}

/// A tree, or an entry from outside, as the kernel side has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeSeen {
    /// Its id.
    pub id: u64,
    /// Pid of its first process.
    pub root: u32,
    /// What kind of account it is.
    pub kind: TreeKind,
    /// Its processes.
    pub used: u64,
    /// Slots reserved for it.
    pub reserved: u64,
    /// When it was made, ns of CLOCK_BOOTTIME.
    pub born_ns: u64,
    /// Its last fork or exec, ns of CLOCK_BOOTTIME.
    pub active_ns: u64,
}

/// What kind of account a [`TreeSeen`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeKind {
    /// A tree: one server.
    Tree,
    /// What is left of the tree of a process that became a gateway.
    Open,
    /// An entry from outside.
    Guests,
}
