//! Births. task_newtask knows threads from processes, counts and makes the entry;
//! sched_process_fork, which follows it in the same thread, writes the record and has a condemned
//! parent pay.

use crate::detail::Event;
use crate::maps::Ref;
use crate::membership::Birth;
use crate::task::{self, Fields, Kptr, newtask_flags, newtask_pid};
use crate::{away, count, detail, gate, maps, membership, newborn, rate};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use guard_common::ProcessEntry;
use guard_common::abi::{CLONE_INTO_CGROUP, CLONE_THREAD};
use guard_common::entry::flag;
use guard_common::record::what;
use guard_common::word::Word;

/// A birth of which the event tells numbers alone.
#[derive(Clone, Copy)]
struct Told<'a>(&'a TracePointContext);

impl Birth for Told<'_> {
    type Task = Kptr;

    #[inline(always)]
    fn pid(self) -> u32 {
        newtask_pid(self.0)
    }

    #[inline(always)]
    fn flags(self) -> u64 {
        newtask_flags(self.0)
    }

    #[inline(always)]
    fn task(self) -> Option<Kptr> {
        task::newborn(self.pid())
    }

    #[inline(always)]
    fn is_away(self, slot: u32) {
        away::forked_away(slot, self.pid());
    }
}

#[tracepoint]
fn task_newtask(ctx: TracePointContext) -> u32 {
    task_is_born(Told(&ctx));
    0
}

#[tracepoint]
fn sched_process_fork(ctx: TracePointContext) -> u32 {
    process_is_forked(|| task::fork_child(&ctx), false);
    0
}

/// The same, where the kernel can send a signal to another task than the current one: loaded in its
/// place.
#[tracepoint]
fn sched_process_fork_kills(ctx: TracePointContext) -> u32 {
    process_is_forked(|| task::fork_child(&ctx), true);
    0
}

/// A task is being made.
#[inline(always)]
pub fn task_is_born<B: Birth>(birth: B) {
    let (tgid, tid) = task::ids();
    let parent = match maps::any_process(tgid) {
        Some(parent) => parent,
        None => match outsider(birth, tgid, tid) {
            Some(parent) => parent,
            None => return,
        },
    };
    if away::is_away(parent) {
        gate::heal(tid);
        if birth.flags() & CLONE_THREAD == 0 {
            birth.is_away(parent.get().slot);
        }
        return;
    }
    let Some(target) = maps::target(parent.get().slot) else {
        return;
    };
    rate::touch(target);
    if birth.flags() & CLONE_THREAD != 0 {
        parent.tasks().fetch_add(1);
        count!(target, tasks).count();
        count!(target, threads).count();
    } else {
        membership::born(target, parent, birth);
    }
}

/// An unwatched process forks. Two cases matter: it puts its child straight into a target, or it
/// is itself in a target that is being armed. In the second it is adopted and its entry returned.
#[inline(always)]
fn outsider<B: Birth>(birth: B, tgid: u32, tid: u32) -> Option<Ref<ProcessEntry>> {
    // Its process left its target in the middle of this fork.
    gate::heal(tid);
    let flags = birth.flags();
    if flags & (CLONE_INTO_CGROUP | CLONE_THREAD) == CLONE_INTO_CGROUP {
        let child = birth.task()?;
        let target = maps::target(maps::cgroup_slot(child.task_cgroup_id()?)?)?;
        membership::enter(target.slot, birth.pid(), child.task_start_ns(), 1, None);
        return None;
    }
    if !maps::arming_any() {
        return None;
    }
    let target = membership::current_target()?;
    // `live` counts a thread that is being born already; this very event will count it.
    let born = u32::from(flags & CLONE_THREAD != 0);
    let tasks = task::live().saturating_sub(born);
    membership::enter(target.slot, tgid, task::start_ns(), tasks, None);
    maps::process(tgid)
}

/// A task has been made: where it is a process, its record is written. `kills`: the kernel can send a
/// signal to another task than the current one.
#[inline(always)]
pub fn process_is_forked(pid: impl FnOnce() -> u32, kills: bool) {
    // Whose parent is nobody's has at most entered, and has its record.
    let Some(parent) = maps::any_process(task::tgid()) else {
        return;
    };
    let pid = pid();
    // Entries are keyed by thread group: a thread's id finds none.
    let Some(entry) = maps::process(pid) else {
        return;
    };
    if entry.flags().load() & (flag::ENTERED | flag::AWAY) != 0 {
        return;
    }
    let Some(target) = maps::target(entry.get().slot) else {
        return;
    };
    detail::process(
        target,
        &Event {
            what: what::SPAWN,
            pid,
            status: 0,
        },
        entry.get(),
    );
    if count!(target, condemned_now).load() == 0 {
        return;
    }
    if kills {
        newborn::kill_at_birth(target, pid, entry);
    }
    // A condemned process that forks has had its chance to execute something.
    if parent.flags().load() & flag::CONDEMNED != 0 {
        gate::execute_sentence(target, parent);
    }
}
