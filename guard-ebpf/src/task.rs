//! Fields of kernel structs, by offsets that the agent reads from the kernel's own BTF and from
//! tracefs at load: Rust has no CO-RE.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_task_btf,
    bpf_ktime_get_boot_ns, bpf_ktime_get_ns, bpf_probe_read_kernel, generated,
};
use aya_ebpf::programs::{BtfTracePointContext, TracePointContext};
use aya_ebpf::{EbpfContext, Global};
use core::arch::asm;

/// Declares offsets, all 0 until the agent sets them.
macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        static $name: Global<u32> = Global::new(0);
    )+};
}

offsets! {
    TASK_SIGNAL, TASK_CGROUPS, TASK_MM, TASK_EXECS, TASK_EXIT_CODE, TASK_START, TASK_CHILDREN, TASK_SIBLING,
    TASK_PID, TASK_TGID, TASK_PARENT, SIGNAL_LIVE, CSS_SET_CGROUP, CGROUP_KN, CGROUP_ROOT,
    CGROUP_PARENT, CSS_CGROUP, KN_ID, ROOT_HIERARCHY, MM_ARG_START, MM_ARG_END,
    EVENT_NEWTASK_PID, EVENT_NEWTASK_FLAGS, EVENT_FORK_CHILD,
}

/// A kernel pointer read by address: for tasks other than the current one, whose fields the
/// verifier lets us reach only through a copying helper. Under lockdown=confidentiality there is no
/// such helper.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kptr(u64);

/// A kernel pointer whose type the verifier knows, as an event's arguments are where they are heard
/// with their types: read directly, on every kernel and under every lockdown.
#[derive(Clone, Copy)]
pub struct Typed(u64);

/// How a pointer's fields are reached.
pub trait Reach: Copy {
    /// A field.
    fn read<T: Copy>(self, offset: &Global<u32>) -> Option<T>;
    /// What a field points to.
    fn follow(self, offset: &Global<u32>) -> Option<Self>;
}

impl Reach for Kptr {
    #[inline(always)]
    fn read<T: Copy>(self, offset: &Global<u32>) -> Option<T> {
        let at = self.0.wrapping_add(u64::from(offset.load()));
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel(at as *const T) }.ok()
    }

    #[inline(always)]
    fn follow(self, offset: &Global<u32>) -> Option<Self> {
        self.read::<u64>(offset).map(Self)
    }
}

impl Reach for Typed {
    #[inline(always)]
    fn read<T: Copy>(self, offset: &Global<u32>) -> Option<T> {
        Some(field(self.0 as *const u8, offset))
    }

    #[inline(always)]
    fn follow(self, offset: &Global<u32>) -> Option<Self> {
        Some(Self(field(self.0 as *const u8, offset)))
    }
}

impl Typed {
    /// An argument of an event, which must be a pointer.
    #[inline(always)]
    pub fn argument(ctx: &BtfTracePointContext, n: usize) -> Self {
        Self(ctx.arg(n))
    }
}

/// Nanoseconds of CLOCK_BOOTTIME.
#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Nanoseconds of CLOCK_MONOTONIC, which stands still while the machine sleeps.
#[inline(always)]
pub fn awake_ns() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// Thread-group id of the current task, in the init pid namespace.
#[inline(always)]
pub fn tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Thread-group id and id of the current task, by one call.
#[inline(always)]
pub fn ids() -> (u32, u32) {
    let both = bpf_get_current_pid_tgid();
    ((both >> 32) as u32, both as u32)
}

/// Id of the current task.
#[inline(always)]
pub fn tid() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// Name of the current task.
#[inline(always)]
pub fn comm() -> [u8; 16] {
    bpf_get_current_comm().unwrap_or([0; 16])
}

/// The current task.
#[inline(always)]
fn current() -> *const u8 {
    // SAFETY: no arguments.
    unsafe { bpf_get_current_task_btf() }.cast_const().cast()
}

/// A field of a BTF pointer, read directly: the verifier knows the type and the offset, which is
/// a constant in frozen .rodata.
#[inline(always)]
fn field<T>(base: *const u8, offset: &Global<u32>) -> T {
    // SAFETY: the verifier checks that the offset is a readable field of the pointed-to struct.
    unsafe { core::ptr::read_volatile(base.add(offset.load() as usize).cast()) }
}

/// Id of the v2 cgroup of the current task.
#[inline(always)]
pub fn cgroup_id() -> u64 {
    let css_set: *const u8 = field(current(), &TASK_CGROUPS);
    let cgroup: *const u8 = field(css_set, &CSS_SET_CGROUP);
    let kn: *const u8 = field(cgroup, &CGROUP_KN);
    field(kn, &KN_ID)
}

/// Tasks of the current process that have not begun to exit.
#[inline(always)]
pub fn live() -> u32 {
    let signal: *const u8 = field(current(), &TASK_SIGNAL);
    field(signal, &SIGNAL_LIVE)
}

/// Start of the current task in ns of CLOCK_BOOTTIME.
#[inline(always)]
pub fn start_ns() -> u64 {
    field(current(), &TASK_START)
}

/// Names the last exec of the current task: its start with how many there were (`self_exec_id`, inherited).
#[inline(always)]
pub fn exec_id() -> u64 {
    let execs: u64 = field(current(), &TASK_EXECS);
    start_ns().wrapping_add(execs << 48)
}

/// Wait status of the current, exiting task.
#[inline(always)]
pub fn exit_code() -> u32 {
    field(current(), &TASK_EXIT_CODE)
}

/// Copies the current program's command line (arguments, each ended by NUL) to `to`, which has
/// room for [`guard_common::abi::ARGS_MAX`] bytes; returns its length, 0 where there is none.
#[inline(always)]
pub fn copy_args(to: *mut u8) -> u32 {
    let mm: *const u8 = field(current(), &TASK_MM);
    if mm.is_null() {
        return 0;
    }
    let start: u64 = field(mm, &MM_ARG_START);
    let end: u64 = field(mm, &MM_ARG_END);
    let max = guard_common::abi::ARGS_MAX as u64;
    let wanted = end.wrapping_sub(start);
    let len = if wanted > max { max } else { wanted };
    // SAFETY: `to` has room for ARGS_MAX bytes; the helper checks the user address.
    let read = unsafe { generated::bpf_probe_read_user(to.cast(), len as u32, start as *const _) };
    if read == 0 { len as u32 } else { 0 }
}

/// The child that the current task has just forked and not yet woken, if its pid is `pid`.
///
/// copy_process() has put it last on the list of its parent's children, which is the forking
/// task's own (list_add_tail in kernel/fork.c) or, with CLONE_PARENT, that of its parent. It
/// cannot be gone: it runs only after both fork tracepoints.
#[inline(always)]
pub fn newborn(pid: u32) -> Option<Kptr> {
    let me = Kptr(current() as u64);
    last_child(me, pid).or_else(|| last_child(me.follow(&TASK_PARENT)?, pid))
}

#[inline(always)]
fn last_child(parent: Kptr, pid: u32) -> Option<Kptr> {
    let head = parent.0.wrapping_add(u64::from(TASK_CHILDREN.load()));
    // list_head is {next, prev}: prev of the head is the last element.
    // SAFETY: the helper checks the address.
    let last: u64 = unsafe { bpf_probe_read_kernel((head + 8) as *const u64) }.ok()?;
    let child = Kptr(last.wrapping_sub(u64::from(TASK_SIBLING.load())));
    (child.read::<u32>(&TASK_PID)? == pid).then_some(child)
}

/// Fields of tasks and cgroups.
pub trait Fields: Reach {
    /// A task's start in ns of CLOCK_BOOTTIME.
    #[inline(always)]
    fn task_start_ns(self) -> u64 {
        self.read(&TASK_START).unwrap_or(0)
    }

    /// Tasks of a task's process that have not begun to exit.
    #[inline(always)]
    fn task_live(self) -> u32 {
        let Some(signal) = self.follow(&TASK_SIGNAL) else {
            return 0;
        };
        signal.read(&SIGNAL_LIVE).unwrap_or(0)
    }

    /// A task's process.
    #[inline(always)]
    fn task_tgid(self) -> u32 {
        self.read(&TASK_TGID).unwrap_or(0)
    }

    /// A task's own id.
    #[inline(always)]
    fn task_pid(self) -> u32 {
        self.read(&TASK_PID).unwrap_or(0)
    }

    /// Id of a task's v2 cgroup.
    #[inline(always)]
    fn task_cgroup_id(self) -> Option<u64> {
        self.follow(&TASK_CGROUPS)?
            .follow(&CSS_SET_CGROUP)?
            .cgroup_id()
    }

    /// Whether a task is in the same css_set, and so in the same cgroups, as the current one.
    #[inline(always)]
    fn task_shares_cgroups(self) -> bool {
        let mine: u64 = field(current(), &TASK_CGROUPS);
        self.read::<u64>(&TASK_CGROUPS) == Some(mine)
    }

    /// A cgroup's id.
    #[inline(always)]
    fn cgroup_id(self) -> Option<u64> {
        self.follow(&CGROUP_KN)?.read(&KN_ID)
    }

    /// Whether a cgroup is in the v2 hierarchy, whose id is 0; ids of v1 cgroups may be the same
    /// numbers.
    #[inline(always)]
    fn cgroup_is_v2(self) -> bool {
        self.follow(&CGROUP_ROOT)
            .and_then(|root| root.read::<u32>(&ROOT_HIERARCHY))
            == Some(0)
    }

    /// The id of a cgroup's parent: `self.parent` is a css of it.
    #[inline(always)]
    fn cgroup_parent_id(self) -> Option<u64> {
        self.follow(&CGROUP_PARENT)?
            .follow(&CSS_CGROUP)?
            .cgroup_id()
            .filter(|id| *id != 0)
    }
}

impl<T: Reach> Fields for T {}

/// A field of an event, read where its offset is one that stands in an instruction here: the verifier lets
/// the context be read at such offsets alone, and the other way is a helper's call (20 ns). The branches of
/// other offsets are never walked, since the offset is a constant in frozen .rodata.
macro_rules! event {
    ($ctx:expr, $name:ident, $kind:ty, $load:literal, [$($at:literal),+]) => {{
        $(if $name.load() == $at {
            let value: $kind;
            // SAFETY: the verifier checks that the event has the field there.
            unsafe {
                asm!(concat!("{v} = *(", $load, " *)({p} + ", $at, ")"), v = out(reg) value,
                     p = in(reg) $ctx.as_ptr());
            }
            return value as _;
        })+
        // SAFETY: the helper checks the address; the offset is the event's own.
        unsafe { $ctx.read_at($name.load() as usize) }.unwrap_or(0)
    }};
}

/// The child's pid, of a task_newtask event.
#[inline(always)]
pub fn newtask_pid(ctx: &TracePointContext) -> u32 {
    event!(ctx, EVENT_NEWTASK_PID, u64, "u32", [8])
}

/// The clone flags, of a task_newtask event.
#[inline(always)]
pub fn newtask_flags(ctx: &TracePointContext) -> u64 {
    event!(ctx, EVENT_NEWTASK_FLAGS, u64, "u64", [32])
}

/// The child's pid, of a sched_process_fork event: with names of 16 bytes before it up to 6.12, with
/// references to them from then on.
#[inline(always)]
pub fn fork_child(ctx: &TracePointContext) -> u32 {
    event!(ctx, EVENT_FORK_CHILD, u64, "u32", [44, 20])
}

/// Sends SIGKILL to the current process.
#[inline(always)]
pub fn kill_self() -> bool {
    const SIGKILL: u32 = 9;
    // SAFETY: the helper takes a number.
    unsafe { generated::bpf_send_signal(SIGKILL) == 0 }
}

/// Sends SIGKILL to the process `pid`; false where the kernel did not.
///
/// By functions of the kernel that only the agent can find: their calls carry a mark
/// ([`guard_common::abi::kfunc`]) in the place of the function's BTF id, which the agent puts there
/// before it loads the program. Where one is missing the program is not loaded. Classic tracepoints may
/// call them since 6.12 (btf_kfunc_hook(), kernel/bpf/btf.c); 6.12 has no
/// bpf_send_signal_task(), 6.16 has it.
#[inline(always)]
pub fn kill(pid: u32) -> bool {
    const SIGKILL: u64 = 9;
    const PIDTYPE_TGID: u64 = 1;
    let task: u64;
    // SAFETY: the kernel checks the number; what it gives is a task that is held, or null.
    unsafe {
        asm!(".byte 0x85,0x20,0,0, 0x01,0x4b,0x46,0x7a",
             inout("r1") u64::from(pid) => _, lateout("r2") _, lateout("r3") _, lateout("r4") _,
             lateout("r5") _, lateout("r0") task);
    }
    if task == 0 {
        return false;
    }
    let sent: u64;
    // SAFETY: the task is held; all else is numbers.
    unsafe {
        asm!(".byte 0x85,0x20,0,0, 0x02,0x4b,0x46,0x7a",
             inout("r1") task => _, inout("r2") SIGKILL => _, inout("r3") PIDTYPE_TGID => _,
             inout("r4") 0_u64 => _, lateout("r5") _, lateout("r0") sent);
    }
    // SAFETY: it was held until now.
    unsafe {
        asm!(".byte 0x85,0x20,0,0, 0x03,0x4b,0x46,0x7a",
             inout("r1") task => _, lateout("r2") _, lateout("r3") _, lateout("r4") _,
             lateout("r5") _, lateout("r0") _);
    }
    sent as i32 == 0
}

/// Copies a NUL-ended kernel string; returns its length with the NUL, 0 where it failed.
#[inline(always)]
pub fn copy_path(from: *const u8, to: &mut [u8; guard_common::abi::PATH_MAX]) -> u64 {
    // SAFETY: `to` is as long as said; the helper checks the source.
    let len = unsafe {
        generated::bpf_probe_read_kernel_str(
            to.as_mut_ptr().cast(),
            guard_common::abi::PATH_MAX as u32,
            from.cast(),
        )
    };
    if len > 0 { len as u64 } else { 0 }
}

/// Copies the 64 bytes at `from`, the digits of a container id; false where that failed.
#[inline(always)]
pub fn copy_id(from: *const u8, to: &mut [u8; guard_common::abi::PATH_MAX]) -> bool {
    const LEN: u32 = guard_common::abi::CONTAINER_ID_LEN as u32;
    // SAFETY: `to` is longer; the helper checks the source.
    unsafe { generated::bpf_probe_read_kernel(to.as_mut_ptr().cast(), LEN, from.cast()) == 0 }
}
