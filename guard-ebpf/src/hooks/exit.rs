//! Ends.

use crate::{gate, maps, membership, task};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use guard_common::GateMode;

#[tracepoint]
fn sched_process_exit(_ctx: TracePointContext) -> u32 {
    let tgid = task::tgid();
    let Some(entry) = maps::process(tgid) else {
        return 0;
    };
    let Some(target) = maps::target(entry.get().slot) else {
        return 0;
    };
    if gate::mode_is(target, GateMode::Lsm) {
        let tid = task::tid();
        // A fork of this task failed and task_free did not say so.
        if let Some(pending) = maps::pending(tid) {
            maps::clear_pending(tid);
            gate::give_back(target, pending.token_ns);
        }
    }
    membership::task_exits(target, tgid, entry);
    0
}
