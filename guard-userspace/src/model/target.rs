//! What is guarded, and names that survive reuse.

/// A target: its slot in the kernel side's arrays. Valid below [`guard_common::abi::MAX_TARGETS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

/// A cgroup's id: the inode number of its directory in the v2 hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupId(pub u64);

/// A process for ever: a pid comes back, with the start time it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// Thread-group id in the init pid namespace.
    pub pid: u32,
    /// Start in clock ticks since boot, as in field 22 of /proc/PID/stat.
    pub start_ticks: u64,
}
