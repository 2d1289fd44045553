//! The counting hooks by tp_btf, for kernels that show no classic events (lockdown=confidentiality). What
//! they do is in the classic hooks' files.
//!
//! A task that preempts another inside such a program skips it (kernel-facts §1: 131 of 4,000 forks on
//! 7.0 with full preemption, 160 of 6,000 on 7.3, none up to 6.18), so they serve where nothing else does.
//! The kernel's `recursion_misses` has each.

use super::{exec, exit, fork};
use crate::away;
use crate::membership::Birth;
use crate::task::{Fields, Typed};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

/// A birth with its task.
#[derive(Clone, Copy)]
struct Shown {
    child: Typed,
    flags: u64,
}

impl Birth for Shown {
    type Task = Typed;

    #[inline(always)]
    fn pid(self) -> u32 {
        self.child.task_pid()
    }

    #[inline(always)]
    fn flags(self) -> u64 {
        self.flags
    }

    #[inline(always)]
    fn task(self) -> Option<Typed> {
        Some(self.child)
    }

    #[inline(always)]
    fn is_away(self, slot: u32) {
        let cgroup = self.child.task_cgroup_id().unwrap_or(0);
        away::forked_away_to(slot, self.pid(), self.child.task_start_ns(), cgroup);
    }
}

#[btf_tracepoint(function = "task_newtask")]
fn typed_newtask(ctx: BtfTracePointContext) -> i32 {
    fork::task_is_born(Shown {
        child: Typed::argument(&ctx, 0),
        flags: ctx.arg(1),
    });
    0
}

#[btf_tracepoint(function = "sched_process_fork")]
fn typed_fork(ctx: BtfTracePointContext) -> i32 {
    fork::process_is_forked(|| Typed::argument(&ctx, 1).task_pid(), false);
    0
}

#[btf_tracepoint(function = "sched_process_exec")]
fn typed_exec(_ctx: BtfTracePointContext) -> i32 {
    exec::executed();
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
fn typed_exit(_ctx: BtfTracePointContext) -> i32 {
    exit::exits();
    0
}
