//! The counting hooks by tp_btf, for kernels that show no classic events (lockdown=confidentiality). What
//! they do is in the classic hooks' files.
//!
//! A task that preempts another inside such a program skips it (131 of 4,000 forks on 7.0 with full
//! preemption, 160 of 6,000 on 7.3; none up to 6.18, where events run with preemption off), so they serve
//! where nothing else does, and from 7.0 on the agent attaches several copies of each (`kernel/events.rs`
//! of guard-userspace). The kernel's `recursion_misses` has each that is skipped.
//!
//! To turn preemption off in the program (bpf_preempt_disable()) does not help: who was to preempt it does
//! so where that ends, still inside it (17 events lost on 7.3 instead of 72).

use super::{exec, exit, fork};
use crate::copies::{self, Kind};
use crate::membership::{self, Birth};
use crate::task::{self, Fields, Typed};
use crate::{away, maps};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use guard_common::abi::CLONE_INTO_CGROUP;

/// Whether the current process has an entry.
#[inline(always)]
fn is_watched() -> bool {
    maps::any_process(task::tgid()).is_some()
}

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
    let birth = Shown {
        child: Typed::argument(&ctx, 0),
        flags: ctx.arg(1),
    };
    let matters = || is_watched() || maps::arming_any() || birth.flags & CLONE_INTO_CGROUP != 0;
    if !matters() || copies::is_first(Kind::Birth, birth.child.task_start_ns()) {
        fork::task_is_born(birth);
    }
    0
}

#[btf_tracepoint(function = "sched_process_fork")]
fn typed_fork(ctx: BtfTracePointContext) -> i32 {
    let child = Typed::argument(&ctx, 1);
    if is_watched() && copies::is_first(Kind::Fork, child.task_start_ns()) {
        fork::process_is_forked(|| child.task_pid(), false);
    }
    0
}

#[btf_tracepoint(function = "sched_process_exec")]
fn typed_exec(_ctx: BtfTracePointContext) -> i32 {
    // Who comes in by it is watched afterwards: no copy is to count that exec again.
    if !is_watched() && membership::current_target().is_none() {
        return 0;
    }
    if copies::is_first(Kind::Exec, task::exec_id()) {
        exec::executed();
    }
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
fn typed_exit(_ctx: BtfTracePointContext) -> i32 {
    // An unwatched one has at most a slot to give back, which each may try.
    if !is_watched() || copies::is_first(Kind::Exit, task::start_ns()) {
        exit::exits();
    }
    0
}
