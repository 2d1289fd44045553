//! Ends.

use crate::{away, gate, maps, membership, task};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

#[tracepoint]
fn sched_process_exit(_ctx: TracePointContext) -> u32 {
    // Whoever it belonged to, and whatever that one's mode is by now.
    gate::heal(task::tid());
    let tgid = task::tgid();
    let Some(entry) = maps::process(tgid) else {
        return 0;
    };
    if away::is_away(entry) {
        away::task_exits(tgid);
        return 0;
    }
    let Some(target) = maps::target(entry.get().slot) else {
        return 0;
    };
    membership::task_exits(target, tgid, entry);
    0
}
