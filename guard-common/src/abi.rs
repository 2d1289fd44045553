//! Sizes and names that both sides of the kernel boundary must agree on.

/// Version of every layout in this crate. A record that carries another is refused.
pub const LAYOUT_VERSION: u16 = 4;

/// Targets that can be guarded at once; the last slot is the canary's.
pub const MAX_TARGETS: u32 = 512;

/// The slot of the guard's own canary cgroup.
pub const CANARY_SLOT: u32 = MAX_TARGETS - 1;

/// Watched processes at once, over all targets. A fork past it is refused and counted as lost.
pub const MAX_PROCESSES: u32 = 65_536;

/// Trees and entries from outside at once, over all targets: each has at least a process.
pub const MAX_TREES: u32 = MAX_PROCESSES;

/// Cgroups tagged at once: targets and what is nested in them.
pub const MAX_CGROUPS: u32 = 16_384;

/// Bytes of the ring buffer: a power of two, a multiple of the page size. One second of the
/// fastest storm seen (about 9,000 records) fits.
pub const RING_BYTES: u32 = 4 << 20;

/// Longest cgroup path that can be expected before it exists, with its final NUL.
pub const PATH_MAX: usize = 256;

/// Hexadecimal digits of a container id: what names a container's cgroup, whatever is before it
/// (`docker-`) and behind it (`.scope`).
pub const CONTAINER_ID_LEN: usize = 64;

/// Longest command line in an exec record, in bytes; longer ones are cut.
pub const ARGS_MAX: usize = 512;

/// Process records a target may write in one second; the rest are sampled away and counted.
pub const DETAIL_PER_SECOND: u64 = 2_000;

/// Least time between two [`crate::record::Breach`] records of one target.
pub const BREACH_EVERY_NS: u64 = 10_000_000;

/// Least time between two [`crate::record::Near`] records of one target.
pub const NEAR_EVERY_NS: u64 = 20_000_000;

/// `CLONE_THREAD` of clone(2): the child is a thread of its parent's process.
pub const CLONE_THREAD: u64 = 0x0001_0000;

/// `CLONE_INTO_CGROUP` of clone3(2): the child starts in a cgroup that is not its parent's.
pub const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Functions of the kernel that the kernel side calls. A call carries a mark in the place of the
/// function's BTF id, which differs from kernel to kernel and is known to the agent alone.
pub mod kfunc {
    /// Bytes of a call before its mark: BPF_JMP | BPF_CALL, BPF_PSEUDO_KFUNC_CALL, no offset.
    pub const CALL: [u8; 4] = [0x85, 0x20, 0, 0];

    /// Mark, name, number of arguments.
    pub const ALL: [(u32, &str, usize); 3] = [
        (0x7a46_4b01, "bpf_task_from_pid", 1),
        (0x7a46_4b02, "bpf_send_signal_task", 4),
        (0x7a46_4b03, "bpf_task_release", 1),
    ];
}

/// What an agent asks of the `control` program, by BPF_PROG_TEST_RUN.
///
/// Arguments travel in the raw tracepoint's context: `[op, slot, a, b, c, d]`. A process is named
/// by pid and start, since a pid alone may be another's by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Control {
    /// Count a process that is in the target already: pid, start (ns of CLOCK_BOOTTIME), tasks, its
    /// place ([`crate::tree::force::Post::pack`]).
    Adopt = 1,
    /// Forget an adopted process that died before it could be counted: pid, start.
    Forget = 2,
    /// Mend an adopted process's task count: pid, start, tasks to add (two's complement).
    Mend = 3,
    /// Write the sample of a second that has passed in silence.
    Flush = 4,
    /// A start-up window begins: its start in ns of CLOCK_BOOTTIME.
    Started = 5,
    /// Let go of a process that stays where it is, since that is no target any more: pid, start.
    Release = 6,
    /// Move a process to another place: pid, start, place.
    Move = 7,
    /// A process of the spine is a wrapper or a gateway: pid, start, [`crate::tree::Role`].
    Spine = 8,
    /// A process in a tree is a gateway: pid, start.
    Protect = 9,
    /// Raise a tree's reservation: tree, peak, room below which that may be.
    Raise = 10,
    /// A tree gives back what it does not use but one: tree, least size for that.
    Settle = 11,
    /// Is a process condemned whose exec is to be denied? If so it is counted as denied, once: pid.
    /// Its slot is the kernel side's to know.
    Judge = 12,
    /// Is a process the target's? pid.
    Belongs = 13,
    /// Is a living process of the target condemned? pid; 0: is any?
    Condemned = 14,
    /// A condemned process is about to be sent SIGKILL by the agent, and is counted as killed: pid.
    Sentence = 15,
    /// Is the target near its limits, by `NEAR`?
    Near = 16,
}
