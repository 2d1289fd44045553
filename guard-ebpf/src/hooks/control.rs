//! What the agent asks for: run by BPF_PROG_TEST_RUN, never attached, so that the kernel's words
//! are changed by the kernel's atomics alone.

use crate::membership::{Added, Leave};
use crate::{away, count, deny, gate_word, maps, membership, rate, trees};
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
    let (a, b, c, d): (u64, u64, u64, u64) = (ctx.arg(2), ctx.arg(3), ctx.arg(4), ctx.arg(5));
    let slot = slot as u32;
    let Some(target) = maps::target(slot) else {
        return -1;
    };
    let pid = a as u32;
    // A process is named by its start, too: the pid may be another's by now.
    let is_there = || {
        maps::process(pid).filter(|entry| {
            entry.get().slot == slot && entry.get().start_ns == b && !away::is_away(*entry)
        })
    };
    let done = if op == Control::Adopt as u64 {
        membership::enter(slot, pid, b, c as u32, Some(d)) == Added::Yes
    } else if op == Control::Forget as u64 {
        membership::forget(pid, b)
    } else if op == Control::Mend as u64 {
        match is_there() {
            Some(entry) => {
                entry.tasks().fetch_add(c);
                count!(target, tasks).fetch_add(c);
                true
            }
            None => false,
        }
    } else if op == Control::Flush as u64 {
        rate::flush(target)
    } else if op == Control::Started as u64 {
        gate_word!(target, started_ns).store(a);
        true
    } else if op == Control::Release as u64 {
        is_there().is_some() && membership::leave(slot, pid, Leave::Released)
    } else if op == Control::Move as u64 {
        is_there().is_some() && trees::move_to(slot, pid, c)
    } else if op == Control::Spine as u64 {
        is_there().is_some() && trees::set_spine(slot, pid, c)
    } else if op == Control::Protect as u64 {
        is_there().is_some() && trees::protect(slot, pid)
    } else if op == Control::Raise as u64 {
        trees::raise(slot, a, b, c)
    } else if op == Control::Settle as u64 {
        trees::settle(slot, a, b)
    } else if op == Control::Judge as u64 {
        deny::judge(pid)
    } else if op == Control::Belongs as u64 {
        maps::process(pid).is_some_and(|entry| entry.get().slot == slot && !away::is_away(entry))
    } else if op == Control::Condemned as u64 {
        deny::condemned(target, pid)
    } else if op == Control::Sentence as u64 {
        deny::sentence(target, pid)
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
