//! A watched process, as the kernel side remembers it.

use bytemuck::{Pod, Zeroable};

/// Membership of one process (thread group), keyed by its tgid; made at fork, inherited from the
/// parent, removed by the exit of its last task. Written by the kernel side alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ProcessEntry {
    /// Tasks alive; the exit that brings it to 0 removes the entry. Signed: an adopted process's
    /// tasks are counted from outside and mended afterwards.
    pub tasks: i64,
    /// 0 until the process's death is counted: of two threads that end together, one counts.
    pub dead: u64,
    /// Bits of [`flag`].
    pub flags: u64,
    /// Start in nanoseconds of CLOCK_BOOTTIME: with the pid it names the process for ever.
    pub start_ns: u64,
    /// What it is and whose slot it has: [`crate::tree::Place`].
    pub place: u64,
    /// The target's slot.
    pub slot: u32,
    /// Thread-group id of the parent at the fork; 0 for what entered from outside.
    pub parent: u32,
}

/// A tree, or an entry from outside with its descendants, keyed by an id that no other ever had.
/// It lives as long as any of its processes. Written by the kernel side alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct TreeEntry {
    /// What it uses and reserves: [`crate::tree::account`].
    pub account: u64,
    /// Its last fork or exec, in ns of CLOCK_BOOTTIME.
    pub active_ns: u64,
    /// When it was made, in ns of CLOCK_BOOTTIME.
    pub born_ns: u64,
    /// Thread-group id of its first process; 0 until that is born.
    pub root: u32,
    /// The target's slot.
    pub slot: u32,
}

/// Bits of [`ProcessEntry::flags`].
pub mod flag {
    /// Born over a limit that could not refuse the fork: dies at its first exec or fork.
    pub const CONDEMNED: u64 = 1;
    /// SIGKILL was sent and counted.
    pub const KILLED: u64 = 2;
    /// Entered from outside (attach, CLONE_INTO_CGROUP) or was there at arming.
    pub const ENTERED: u64 = 4;
    /// The first process of its tree.
    pub const ROOT: u64 = 8;
    /// It has executed a program since it was born or entered.
    pub const EXECED: u64 = 16;
    /// It has executed a second one.
    pub const EXECED_AGAIN: u64 = 32;
    /// An exec of it was denied and counted.
    pub const DENIED: u64 = 64;
    /// It went outside and is not counted; remembered, so that it is no guest when it comes back.
    pub const AWAY: u64 = 128;
    /// Condemned, and one of the few at a time that are let run to an exec or a fork; it gives that
    /// back when it ends.
    pub const NEWBORN: u64 = 256;
}
