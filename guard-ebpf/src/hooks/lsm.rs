//! The gate before the fork: security_task_alloc refuses with EAGAIN before memory is copied.
//!
//! What is taken here is remembered by the forking task's tid, with the child's task_struct as its
//! name, until task_newtask (same thread, inside copy_process) turns it into an entry. A
//! copy_process that fails later calls task_free in the same thread, which gives it back. Exact on
//! 6.1, 6.12 and 7.3, also under full preemption (kernel-facts §2, §5).

use crate::gate;
use crate::maps::{self, Pending};
use crate::{away, count, rate, task, trees};
use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;
use guard_common::GateMode;
use guard_common::abi::CLONE_THREAD;
use guard_common::record::{limit, verdict};

const EAGAIN: i32 = 11;

#[lsm(hook = "task_alloc")]
fn task_alloc(ctx: LsmContext) -> i32 {
    let child: u64 = ctx.arg(0);
    let clone_flags: u64 = ctx.arg(1);
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    if clone_flags & CLONE_THREAD != 0 || admit(child) {
        0
    } else {
        -EAGAIN
    }
}

/// Whether the current task may fork a process.
#[inline(always)]
fn admit(child: u64) -> bool {
    let tid = task::tid();
    gate::heal(tid);
    let Some(parent) = maps::process(task::tgid()) else {
        return true;
    };
    if away::is_away(parent) {
        return true;
    }
    let Some(target) = maps::target(parent.get().slot) else {
        return true;
    };
    if !gate::mode_is(target, GateMode::Lsm) {
        return true;
    }
    let limit = match gate::ask(target) {
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
        Err(limit) => limit,
    };
    rate::touch(target);
    count!(target, denied).count();
    gate::refused(target, limit, verdict::DENIED);
    false
}

#[lsm(hook = "task_free")]
fn task_free(ctx: LsmContext) -> i32 {
    let child: u64 = ctx.arg(0);
    let tid = task::tid();
    // After a normal exit this comes late and in any task's context: the pointer tells.
    if maps::pending(tid).is_some_and(|pending| pending.child == child) {
        gate::heal(tid);
    }
    0
}
