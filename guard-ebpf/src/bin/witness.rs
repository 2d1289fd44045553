//! The witness: counts one cgroup (and what is nested in it) for the tests, in its own way.
//!
//! It shares no code, map or algorithm with the guard, so that one mistake cannot hide in both. The
//! guard asks "is the parent ours?" and inherits; the witness asks the kernel at each event which
//! cgroup the current task is in. It also sees each system call, which no guard could afford, and
//! so knows what the guard only promises: whether a process ever ran an instruction of the program
//! it executed. A process that is killed at its exec makes no system call after it.
//!
//! It kills no one and refuses nothing. What it cannot see: how many threads a process has that
//! enters the cgroup already multi-threaded (it takes one: runc's last stage in a `docker exec` is
//! such a one until it executes the command), and kernel-made io_uring workers. Before 6.16 the
//! event does not say whose exit was the last: there, each such thread that ends is one exit too
//! many, with an entrance at the next system call.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

use core::arch::asm;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_ancestor_cgroup_id};
use aya_ebpf::macros::{map, tracepoint};
use aya_ebpf::maps::{Array, HashMap};
use aya_ebpf::programs::TracePointContext;
use aya_ebpf::{Global, bindings::BPF_NOEXIST};

/// Id of the watched cgroup.
#[unsafe(no_mangle)]
static WATCHED: Global<u64> = Global::new(0);
/// Its depth below the root of the v2 hierarchy.
#[unsafe(no_mangle)]
static LEVEL: Global<i32> = Global::new(0);
/// Where `task_newtask` has the child's pid: differs between kernels, read from tracefs.
#[unsafe(no_mangle)]
static NEWTASK_PID: Global<u32> = Global::new(0);
/// Where it has the clone flags.
#[unsafe(no_mangle)]
static NEWTASK_FLAGS: Global<u32> = Global::new(0);

/// Where `sched_process_exit` says that no task of the process is left; 0 where it does not.
#[unsafe(no_mangle)]
static EXIT_DEAD: Global<u32> = Global::new(0);

const CLONE_THREAD: u64 = 0x0001_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What is counted, by index in [`COUNTS`]; `tests/src/witness.rs` has the same list.
mod count {
    pub const SPAWNS: u32 = 0;
    pub const THREADS: u32 = 1;
    pub const EXECS: u32 = 2;
    pub const EXITS: u32 = 3;
    pub const ENTERED: u32 = 4;
    pub const LEFT: u32 = 5;
    pub const LIVE: u32 = 6;
    pub const LIVE_PEAK: u32 = 7;
    pub const RUNNING: u32 = 8;
    pub const RUNNING_PEAK: u32 = 9;
    pub const RAN: u32 = 10;
    pub const TASKS: u32 = 11;
    pub const LOST: u32 = 12;
    pub const ALL: u32 = 13;
}

/// One process of the cgroup, by tgid.
#[repr(C)]
struct Seen {
    /// Tasks alive; whose exit brings it to 0 is the last.
    tasks: u64,
    /// Forked, executed, or heard of since it executed.
    state: u64,
}

const FORKED: u64 = 0;
const EXECUTED: u64 = 1;
const RUNS: u64 = 2;

#[map]
static COUNTS: Array<u64> = Array::with_max_entries(count::ALL, 0);
#[map]
static SEEN: HashMap<u32, Seen> = HashMap::with_max_entries(65_536, 0);

#[tracepoint]
fn task_newtask(ctx: TracePointContext) -> u32 {
    let flags: u64 = read(&ctx, NEWTASK_FLAGS.load());
    // Where a clone into another cgroup starts is told by its own first system call.
    if !inside() || flags & CLONE_INTO_CGROUP != 0 {
        return 0;
    }
    if flags & CLONE_THREAD != 0 {
        if let Some(seen) = SEEN.get_ptr_mut(tgid()) {
            add(&raw_tasks(seen), 1);
            bump(count::THREADS, 1);
            bump(count::TASKS, 1);
        }
        return 0;
    }
    let child: u32 = read(&ctx, NEWTASK_PID.load());
    born(child, FORKED, count::SPAWNS);
    0
}

#[tracepoint]
fn sched_process_exec(_ctx: TracePointContext) -> u32 {
    if !inside() {
        return 0;
    }
    bump(count::EXECS, 1);
    if let Some(seen) = SEEN.get_ptr_mut(tgid()) {
        swap(&raw_state(seen), FORKED, EXECUTED);
    }
    0
}

#[tracepoint]
fn sched_process_exit(ctx: TracePointContext) -> u32 {
    let Some(seen) = SEEN.get_ptr_mut(tgid()) else {
        return 0;
    };
    let how = if inside() { count::EXITS } else { count::LEFT };
    let (tasks, at) = (raw_tasks(seen), EXIT_DEAD.load());
    if at == 0 {
        bump(count::TASKS, MINUS_ONE);
        if add(&tasks, MINUS_ONE) == 1 {
            gone(seen, how);
        }
    } else if read::<u8>(&ctx, at) != 0 {
        // None is alive of those that are counted still: their events come after this one.
        bump(count::TASKS, add(&tasks, TAKEN).wrapping_neg());
        gone(seen, how);
    } else if (2..TAKEN).contains(&add(&tasks, 0)) && add(&tasks, MINUS_ONE) < TAKEN {
        bump(count::TASKS, MINUS_ONE);
    }
    // Else another lives and only one is known: this thread had come along from outside.
    0
}

#[tracepoint]
fn sys_enter(_ctx: TracePointContext) -> u32 {
    match (inside(), SEEN.get_ptr_mut(tgid())) {
        (true, Some(seen)) => {
            if swap(&raw_state(seen), EXECUTED, RUNS) == EXECUTED {
                runs();
            }
        }
        (true, None) => {
            // It came from outside, where it had long executed a program.
            if born(tgid(), RUNS, count::ENTERED) {
                runs();
            }
        }
        (false, Some(seen)) => {
            bump(count::TASKS, add(&raw_tasks(seen), 0).wrapping_neg());
            gone(seen, count::LEFT);
        }
        (false, None) => {}
    }
    0
}

/// A process is in the cgroup from now on.
#[inline(always)]
fn born(tgid: u32, state: u64, how: u32) -> bool {
    let seen = Seen { tasks: 1, state };
    if SEEN.insert(tgid, seen, u64::from(BPF_NOEXIST)).is_err() {
        bump(count::LOST, 1);
        return false;
    }
    bump(how, 1);
    bump(count::TASKS, 1);
    let live = bump(count::LIVE, 1).wrapping_add(1);
    raise(count::LIVE_PEAK, live);
    true
}

/// A process of the cgroup runs a program that it executed.
#[inline(always)]
fn runs() {
    bump(count::RAN, 1);
    let running = bump(count::RUNNING, 1).wrapping_add(1);
    raise(count::RUNNING_PEAK, running);
}

/// A process is in the cgroup no more; who deletes its entry counts it.
#[inline(always)]
fn gone(seen: *mut Seen, how: u32) {
    let ran = add(&raw_state(seen), 0) == RUNS;
    if SEEN.remove(tgid()).is_err() {
        return;
    }
    bump(how, 1);
    bump(count::LIVE, MINUS_ONE);
    if ran {
        bump(count::RUNNING, MINUS_ONE);
    }
}

const MINUS_ONE: u64 = u64::MAX;
/// Added to a process's tasks when they have all been counted out.
const TAKEN: u64 = 1 << 63;

#[inline(always)]
fn tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Whether the current task is in the watched cgroup or below it.
#[inline(always)]
fn inside() -> bool {
    // SAFETY: the helper takes any level and gives 0 where the task is not as deep.
    unsafe { bpf_get_current_ancestor_cgroup_id(LEVEL.load()) == WATCHED.load() }
}

/// A field of an event, 0 where it cannot be read.
#[inline(always)]
fn read<T: Default>(ctx: &TracePointContext, offset: u32) -> T {
    // SAFETY: the helper behind it checks the address; any bytes are a valid integer.
    unsafe { ctx.read_at::<T>(offset as usize) }.unwrap_or_default()
}

/// A word that several CPUs change: of a map's value, which lives as long as its map.
struct Shared(*mut u64);

#[inline(always)]
fn raw_tasks(seen: *mut Seen) -> Shared {
    // SAFETY: only computes the address of a field of a value that the map returned.
    Shared(unsafe { &raw mut (*seen).tasks })
}

#[inline(always)]
fn raw_state(seen: *mut Seen) -> Shared {
    // SAFETY: only computes the address of a field of a value that the map returned.
    Shared(unsafe { &raw mut (*seen).state })
}

/// Adds to a counter; returns what was there before.
#[inline(always)]
fn bump(index: u32, n: u64) -> u64 {
    match COUNTS.get_ptr_mut(index) {
        Some(word) => add(&Shared(word), n),
        None => 0,
    }
}

/// Raises a peak to at least `n`. Each failed try means that another CPU has raised it.
#[inline(always)]
fn raise(index: u32, n: u64) {
    let Some(word) = COUNTS.get_ptr_mut(index) else {
        return;
    };
    let word = Shared(word);
    let mut now = add(&word, 0);
    for _ in 0..32 {
        if now >= n {
            return;
        }
        let seen = swap(&word, now, n);
        if seen == now {
            return;
        }
        now = seen;
    }
    bump(count::LOST, 1);
}

#[inline(always)]
fn add(word: &Shared, n: u64) -> u64 {
    let mut v = n;
    // SAFETY: an atomic of the BPF instruction set on a word inside a map's value; the verifier
    // checks its bounds. The target has no core::sync::atomic fetch_add.
    unsafe {
        asm!("{v} = atomic_fetch_add((u64 *)({p} + 0), {v})", v = inout(reg) v, p = in(reg) word.0);
    }
    v
}

#[inline(always)]
fn swap(word: &Shared, old: u64, new: u64) -> u64 {
    let seen;
    // SAFETY: as in `add`.
    unsafe {
        asm!("r0 = cmpxchg_64({p} + 0, r0, {n})", p = in(reg) word.0, n = in(reg) new,
             inout("r0") old => seen);
    }
    seen
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
