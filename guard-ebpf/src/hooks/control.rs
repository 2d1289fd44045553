//! What the agent asks for: run by BPF_PROG_TEST_RUN, never attached, so that the kernel's words
//! are changed by the kernel's atomics alone.

use crate::membership::Added;
use crate::{count, deny, gate_word, maps, membership, rate};
use aya_ebpf::programs::RawTracePointContext;
use aya_log_ebpf::warn;
use core::ffi::c_void;
use guard_common::abi::Control;
use guard_common::word::Word;

/// By hand, since the macro of aya-ebpf 0.2.1 throws the answer away and returns 0: arming would
/// take each adoption for one that came too late.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn control(ctx: *mut c_void) -> i32 {
    answer(&RawTracePointContext::new(ctx))
}

/// 1: done; 0: there was nothing to do; -1: no such slot or operation.
#[inline(always)]
fn answer(ctx: &RawTracePointContext) -> i32 {
    let op: u64 = ctx.arg(0);
    let slot: u64 = ctx.arg(1);
    let (a, b, c): (u64, u64, u64) = (ctx.arg(2), ctx.arg(3), ctx.arg(4));
    let Some(target) = maps::target(slot as u32) else {
        return -1;
    };
    let done = if op == Control::Adopt as u64 {
        membership::enter(target, a as u32, c, b as u32) == Added::Yes
    } else if op == Control::Forget as u64 {
        membership::forget(a as u32, b)
    } else if op == Control::Mend as u64 {
        match maps::process(a as u32) {
            Some(entry) if entry.get().slot == target.slot => {
                entry.tasks().fetch_add(b);
                count!(target, tasks).fetch_add(b);
                true
            }
            _ => false,
        }
    } else if op == Control::Flush as u64 {
        rate::flush(target)
    } else if op == Control::Started as u64 {
        gate_word!(target, started_ns).store(a);
        true
    } else if op == Control::Release as u64 {
        match maps::process(a as u32) {
            Some(entry) if entry.get().slot == target.slot && entry.get().start_ns == b => {
                membership::leave(target, a as u32, entry)
            }
            _ => false,
        }
    } else if op == Control::Judge as u64 {
        deny::judge(a as u32)
    } else if op == Control::Belongs as u64 {
        maps::process(a as u32).is_some_and(|entry| entry.get().slot == target.slot)
    } else if op == Control::Condemned as u64 {
        deny::condemned(target, a as u32)
    } else if op == Control::Denied as u64 {
        deny::denied(target, a as u32)
    } else if op == Control::Sentence as u64 {
        deny::sentence(target, a as u32)
    } else if op == Control::Near as u64 {
        deny::is_near(target)
    } else {
        warn!(
            ctx,
            "control: no operation {} (of target {}); is the agent newer than this object?",
            op,
            slot
        );
        return -1;
    };
    i32::from(done)
}
