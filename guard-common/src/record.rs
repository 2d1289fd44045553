//! Records through the ring buffer, kernel to agent.
//!
//! Each begins with a [`Header`]; its `kind` says which struct it is. An exec's [`Process`] record
//! is followed by the command line. All integers are in the machine's byte order.

use crate::limits::TargetCounters;
use bytemuck::{Pod, Zeroable};

/// The first bytes of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Header {
    /// [`crate::abi::LAYOUT_VERSION`] of the writer.
    pub version: u16,
    /// One of [`kind`].
    pub kind: u16,
    /// The target's slot.
    pub slot: u32,
    /// When it was written: ns of CLOCK_BOOTTIME.
    pub boot_ns: u64,
}

/// Values of [`Header::kind`].
pub mod kind {
    /// [`super::RateSample`]
    pub const RATE: u16 = 1;
    /// [`super::Breach`]
    pub const BREACH: u16 = 2;
    /// [`super::Process`]
    pub const PROCESS: u16 = 3;
    /// [`super::Cgroup`]
    pub const CGROUP: u16 = 4;
    /// [`super::Near`]
    pub const NEAR: u16 = 5;
}

/// A target's counts at the end of one active second.
///
/// Counts are totals, not differences: a lost sample loses its second's shape and no event.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct RateSample {
    /// Kind [`kind::RATE`].
    pub header: Header,
    /// The second that ended, of CLOCK_BOOTTIME.
    pub second: u64,
    /// Slots taken then.
    pub committed: u64,
    /// The counts then.
    pub counters: TargetCounters,
}

/// A spawn met a limit. At most one in [`crate::abi::BREACH_EVERY_NS`] per target; it wakes the
/// agent at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Breach {
    /// Kind [`kind::BREACH`].
    pub header: Header,
    /// One of [`limit`].
    pub limit: u32,
    /// One of [`verdict`].
    pub verdict: u32,
    /// Thread-group id of the spawner.
    pub pid: u32,
    /// Padding, 0.
    pub reserved: u32,
    /// Slots taken.
    pub committed: u64,
    /// The cap.
    pub max_processes: u64,
    /// The spawner's name, NUL-padded.
    pub comm: [u8; 16],
}

/// Values of [`Breach::limit`].
pub mod limit {
    /// No slot below `max_processes`.
    pub const SLOTS: u32 = 1;
    /// No token in the bucket.
    pub const TOKENS: u32 = 2;
    /// The process table is full, or its words were contended.
    pub const TABLE: u32 = 3;
    /// No room in the budget of an entry from outside.
    pub const GUESTS: u32 = 4;
}

/// Values of [`Breach::verdict`].
pub mod verdict {
    /// The fork failed with EAGAIN.
    pub const DENIED: u32 = 1;
    /// The child was condemned.
    pub const CONDEMNED: u32 = 2;
    /// `observe`: let through.
    pub const OBSERVED: u32 = 3;
}

/// Something happened to a watched process. Sampled under load, but never where it tells a role or
/// a family: a root, the spine, what entered.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Process {
    /// Kind [`kind::PROCESS`].
    pub header: Header,
    /// Start of the process in ns of CLOCK_BOOTTIME.
    pub start_ns: u64,
    /// What it is and whose slot it has: [`crate::tree::Place`].
    pub place: u64,
    /// One of [`what`].
    pub what: u32,
    /// Thread-group id.
    pub pid: u32,
    /// Thread-group id of the parent at the fork; 0 for what entered from outside.
    pub parent: u32,
    /// Bits of [`crate::entry::flag`].
    pub flags: u32,
    /// Wait status of an exit (signal in the low 7 bits, exit code above the low 8).
    pub status: u32,
    /// Bytes of command line that follow an exec: arguments, each ended by NUL.
    pub args_len: u32,
    /// The process's name, NUL-padded.
    pub comm: [u8; 16],
}

/// Values of [`Process::what`].
pub mod what {
    /// A fork made it.
    pub const SPAWN: u32 = 1;
    /// It executed a program.
    pub const EXEC: u32 = 2;
    /// Its last task ended.
    pub const EXIT: u32 = 3;
    /// It came from outside.
    pub const ENTER: u32 = 4;
    /// It went outside.
    pub const LEAVE: u32 = 5;
}

/// A cgroup of a target appeared or went.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Cgroup {
    /// Kind [`kind::CGROUP`].
    pub header: Header,
    /// Its id: the inode number of its directory.
    pub id: u64,
    /// One of [`cgroup`].
    pub what: u32,
    /// Padding, 0.
    pub reserved: u32,
}

/// A target in mode `deny` has come near its limits: its execs are to be asked about. At most one in
/// [`crate::abi::NEAR_EVERY_NS`] per target; it wakes the agent at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Near {
    /// Kind [`kind::NEAR`].
    pub header: Header,
}

/// Values of [`Cgroup::what`].
pub mod cgroup {
    /// Expected, and armed by the kernel before its first process.
    pub const ARMED: u32 = 1;
    /// Made inside a target, and counted with it.
    pub const NESTED: u32 = 2;
    /// Removed.
    pub const REMOVED: u32 = 3;
}
