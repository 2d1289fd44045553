//! What the agent asks for: run by BPF_PROG_TEST_RUN, never attached, so that the kernel's words
//! are changed by the kernel's atomics alone.

use crate::{count, gate_word, maps, membership, rate};
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use guard_common::abi::Control;
use guard_common::word::Word;

#[raw_tracepoint]
fn control(ctx: RawTracePointContext) -> i32 {
    let op: u64 = ctx.arg(0);
    let slot: u64 = ctx.arg(1);
    let (a, b, c): (u64, u64, u64) = (ctx.arg(2), ctx.arg(3), ctx.arg(4));
    let Some(target) = maps::target(slot as u32) else {
        return -1;
    };
    let done = if op == Control::Adopt as u64 {
        membership::enter(target, a as u32, c, b as u32)
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
    } else {
        return -1;
    };
    i32::from(done)
}
