//! A fork before its child is made: what security_task_alloc's programs do.
//!
//! What is taken here is remembered by the forking task's tid, with the child's task_struct as its
//! name, until task_newtask (same thread, inside copy_process) turns it into an entry. A
//! copy_process that fails later calls task_free in the same thread, which gives it back.

use crate::maps::{self, Pending};
use crate::{away, count, gate, rate, task, trees};
use guard_common::GateMode;
use guard_common::abi::CLONE_THREAD;
use guard_common::record::{limit, verdict};

/// What a refused fork says.
pub const EAGAIN: i32 = 11;

/// Whether the current task may make `child`, where its target is held in `mode`.
#[inline(always)]
pub fn admits(child: u64, clone_flags: u64, mode: GateMode) -> bool {
    clone_flags & CLONE_THREAD != 0 || admits_process(child, mode)
}

#[inline(always)]
fn admits_process(child: u64, mode: GateMode) -> bool {
    let (tgid, tid) = task::ids();
    gate::heal(tid);
    let Some(parent) = maps::any_process(tgid) else {
        return true;
    };
    if away::is_away(parent) {
        return true;
    }
    let Some(target) = maps::target(parent.get().slot) else {
        return true;
    };
    if !gate::mode_is(target, mode) {
        return true;
    }
    let met = match gate::ask(target) {
        Ok(grant) => {
            let pending = Pending {
                child,
                grant,
                slot: target.slot,
                reserved: 0,
            };
            if maps::set_pending(tid, &pending) {
                return true;
            }
            trees::give_back(target.slot, grant);
            limit::TABLE
        }
        Err(trees::HAS_LEFT) => return true,
        // Its place is found once it is born, as in `observe`.
        Err(_) if maps::lets_go() => return true,
        Err(met) => met,
    };
    rate::touch(target);
    count!(target, denied).count();
    if met != trees::CONDEMNED {
        gate::refused(target, met, verdict::DENIED);
    }
    false
}

/// Whether what `child` needs was taken already, by another copy of the same program.
#[inline(always)]
pub fn is_taken(child: u64) -> bool {
    maps::pending(task::tid()).is_some_and(|pending| pending.child == child)
}

/// `child` is gone. After a normal exit this comes late and in any task's context: the pointer tells.
#[inline(always)]
pub fn freed(child: u64) {
    if is_taken(child) {
        gate::heal(task::tid());
    }
}
