//! Executed programs.

use crate::{away, count, deny, detail, gate, maps, membership, rate, task, trees};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use guard_common::entry::flag;
use guard_common::tree::Place;
use guard_common::word::Word;

#[tracepoint]
fn sched_process_exec(_ctx: TracePointContext) -> u32 {
    executed();
    0
}

/// The current process has executed a program.
#[inline(always)]
pub fn executed() {
    let tgid = task::tgid();
    let entry = match maps::any_process(tgid) {
        Some(entry) if away::is_away(entry) => return,
        Some(entry) => entry,
        // It may have come into a target on a way we did not see: exec is where we look.
        None => {
            let Some(target) = membership::current_target() else {
                return;
            };
            membership::enter(target.slot, tgid, task::start_ns(), 1, None);
            match maps::process(tgid) {
                Some(entry) => entry,
                None => return,
            }
        }
    };
    let Some(target) = maps::target(entry.get().slot) else {
        return;
    };
    rate::touch(target);
    count!(target, execs).count();
    // After de_thread() one task is left, and all exits before it are counted: what differs is
    // the drift of an adoption, mended here.
    let drift = 1u64.wrapping_sub(entry.tasks().load());
    if drift != 0 {
        entry.tasks().fetch_add(drift);
        count!(target, tasks).fetch_add(drift);
    }
    if entry.flags().load() & flag::CONDEMNED != 0 {
        deny::unseen(target);
        gate::execute_sentence(target, entry);
    }
    trees::active(Place(entry.place().load()));
    detail::exec(target, tgid, entry);
}
