//! The kernel side: counts spawns, threads, execs and exits of each target and holds its limits.
//!
//! Hooks read their context and call; the modules beside them do the work. Counting goes by
//! classic tracepoints, which no other tracepoint's run can skip; tp_btf serves where cgroup_mutex
//! serialises. One thing does skip a classic program: a bpf(2) call on a map that is preempted in
//! mid-call by the task that forks or exits, since it holds bpf_prog_active of its CPU
//! (bpf_disable_instrumentation(); trace_call_bpf() in kernel/trace/bpf_trace.c). Seen on 6.12 with
//! preempt=full: 1 fork and 2 exits of 4,000 beside 132,460 reads of COUNTERS, none without them;
//! recursion_misses has each. So the agent has in its own memory what it reads most (COUNTERS, GATES), and
//! reads and writes other maps seldom while targets are busy.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod alloc;
mod atomic;
mod away;
mod copies;
mod deny;
mod detail;
mod gate;
mod hooks;
mod layout;
mod maps;
mod membership;
mod newborn;
mod rate;
mod task;
mod trees;

/// The kernel wants the GPL for the helpers that read memory and send signals.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier refuses a program in which it could be.
    loop {}
}
