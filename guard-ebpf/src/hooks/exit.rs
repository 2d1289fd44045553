//! Ends.

use crate::{away, gate, maps, membership, task};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

#[tracepoint]
fn sched_process_exit(_ctx: TracePointContext) -> u32 {
    exits();
    0
}

/// The current task ends.
#[inline(always)]
pub fn exits() {
    // Whoever it belonged to, and whatever that one's mode is by now.
    let (tgid, tid) = task::ids();
    gate::heal(tid);
    let Some(entry) = maps::any_process(tgid) else {
        return;
    };
    if away::is_away(entry) {
        away::task_exits(tgid);
        return;
    }
    let Some(target) = maps::target(entry.get().slot) else {
        return;
    };
    membership::task_exits(target, tgid, entry);
}
