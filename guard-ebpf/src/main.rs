//! The kernel side: counts spawns, threads, execs and exits of each target and holds its limits.
//!
//! Hooks read their context and call; the modules beside them do the work. Counting goes by
//! classic tracepoints, which no preemption can skip; tp_btf serves where cgroup_mutex serialises.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod atomic;
mod detail;
mod gate;
mod hooks;
mod maps;
mod membership;
mod rate;
mod task;

/// The kernel wants the GPL for the helpers that read memory and send signals.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier refuses a program in which it could be.
    loop {}
}
