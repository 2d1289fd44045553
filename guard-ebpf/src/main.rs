//! The kernel side.
#![no_std]
#![no_main]
use aya_ebpf::{macros::tracepoint, programs::TracePointContext};

#[tracepoint]
fn sched_process_fork(_ctx: TracePointContext) -> u32 {
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
