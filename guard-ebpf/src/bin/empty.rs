//! Programs that do nothing, on the hooks that the guard counts by: what a program costs there at least.
#![no_std]
#![no_main]

use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

#[tracepoint]
fn empty_newtask(_ctx: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn empty_fork(_ctx: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn empty_exec(_ctx: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn empty_exit(_ctx: TracePointContext) -> u32 {
    0
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: nothing here can panic.
    loop {}
}
