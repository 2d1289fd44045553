//! The gate before the fork where the kernel's `lsm=` list lacks bpf: programs that modify the return of
//! security_task_alloc, which is there with or without BPF LSM.
//!
//! A task that preempts another inside such a program skips it, so the agent attaches copies (how many,
//! and how often each is skipped: `kernel/fmod_ret.rs` of guard-userspace). Each looks whether one before
//! it has taken the slot; one that refuses is the last that runs. What passes all of them is condemned
//! at birth. aya loads no fmod_ret: the agent does it itself, from the section
//! of an fentry program.

use crate::alloc;
use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;
use core::ffi::c_void;
use guard_common::GateMode;

#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_task_alloc")]
extern "C" fn modify_task_alloc(ctx: *mut c_void) -> i32 {
    let ctx = FEntryContext::new(ctx);
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    let child: u64 = ctx.arg(0);
    if alloc::is_taken(child) || alloc::admits(child, ctx.arg(1), GateMode::FmodRet) {
        0
    } else {
        -alloc::EAGAIN
    }
}

#[fentry(function = "security_task_free")]
fn after_task_alloc(ctx: FEntryContext) -> u32 {
    alloc::freed(ctx.arg(0));
    0
}
