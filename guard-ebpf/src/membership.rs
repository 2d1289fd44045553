//! Who belongs to a target: made at fork and inherited from the parent; by the cgroup only where a
//! task enters otherwise.

use crate::detail::Event;
use crate::gate::{self, Answer};
use crate::maps::{self, Ref, Target};
use crate::task::{self, Kptr};
use crate::{count, deny, detail, gate_word, rate};
use guard_common::entry::{ProcessEntry, flag};
use guard_common::record::{limit, verdict, what};
use guard_common::word::Word;
use guard_common::{GateMode, slots};

/// The target in whose cgroup the current task is.
#[inline(always)]
pub fn current_target() -> Option<Target> {
    maps::target(maps::cgroup_slot(task::cgroup_id())?)
}

#[inline(always)]
fn entry(target: Target, flags: u64, start_ns: u64, parent: u32, tasks: u32) -> ProcessEntry {
    ProcessEntry {
        tasks: i64::from(tasks),
        dead: 0,
        flags,
        start_ns,
        slot: target.slot,
        parent,
        tree: 0,
        role: 0,
    }
}

/// What became of an entry that was to be added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is in the table.
    Yes,
    /// The process had one already.
    There,
    /// There is no room: the process goes unwatched.
    Full,
}

/// A watched process forked a process: it gets an entry, and its slot, or is condemned.
#[inline(always)]
pub fn born(target: Target, parent: Ref<ProcessEntry>, pid: u32) {
    let child = task::newborn(pid);
    let start_ns = child.map_or_else(task::now_ns, Kptr::task_start_ns);
    let granted = settle(target, parent);
    let flags = if granted.is_some() {
        0
    } else {
        flag::CONDEMNED
    };
    let new = entry(target, flags, start_ns, task::tgid(), 1);
    let added = add(pid, &new, child.is_some());
    if added != Added::There {
        // What was there already came in by an attach between its birth and this event, and is
        // counted as that.
        count!(target, spawns).count();
    }
    if added != Added::Yes {
        if let Some(token_ns) = granted {
            gate::give_back(target, token_ns);
        }
        if added == Added::Full {
            // It runs, and nobody will know it: at least that is said.
            gate::refused(target, limit::TABLE, verdict::OBSERVED);
        }
        return;
    }
    count!(target, tasks).count();
    if granted.is_some() {
        gate::alive(target);
        deny::look(target);
    } else {
        count!(target, condemned).count();
        count!(target, condemned_now).count();
    }
    // Moved out between its birth and this event, or born outside by CLONE_INTO_CGROUP: the move
    // saw no entry, so we take it away. Had it seen one, the entry is another target's by now.
    if let Some(child) = child
        && !child.task_shares_cgroups()
    {
        let slot = child.task_cgroup_id().and_then(maps::cgroup_slot);
        if slot != Some(target.slot)
            && let Some(entry) = maps::process(pid)
            && entry.get().slot == target.slot
        {
            leave(target, pid, entry);
            if let Some(other) = slot.and_then(maps::target) {
                enter(other, pid, start_ns, 1);
            }
        }
    }
}

/// Slot and token of a fork that has succeeded: taken before it (`lsm`) or asked for now. `None`:
/// there are none, and the child is condemned.
#[inline(always)]
fn settle(target: Target, parent: Ref<ProcessEntry>) -> Option<u64> {
    // Whatever the mode is by now: what was taken must be used or given back, and to the target it
    // was taken from, which the parent may have left meanwhile.
    if let Some(pending) = maps::take_pending(task::tid()) {
        if pending.slot == target.slot {
            return Some(pending.token_ns);
        }
        if let Some(owner) = maps::target(pending.slot) {
            gate::give_back(owner, pending.token_ns);
        }
    }
    if parent.flags().load() & flag::CONDEMNED != 0 {
        return None;
    }
    match gate::ask(target) {
        Answer::Granted(token_ns) => Some(token_ns),
        Answer::Refused(met) if gate::mode_is(target, GateMode::Observe) => {
            slots::force(&gate_word!(target, committed), 1);
            count!(target, would_refuse).count();
            gate::refused(target, met, verdict::OBSERVED);
            Some(0)
        }
        Answer::Refused(met) => {
            gate::refused(target, met, verdict::CONDEMNED);
            None
        }
    }
}

/// Starts that are no further apart belong to one process: the agent knows them in clock ticks of
/// 10 ms, rounded down. No pid comes back as fast.
const SAME_START_NS: u64 = 100_000_000;

/// Adds an entry; takes the place of one whose process is gone and whose pid has come back. Only a
/// pid that is being `born` proves that its earlier owner is gone where its death was not seen.
#[inline(always)]
fn add(pid: u32, new: &ProcessEntry, born: bool) -> Added {
    if maps::add_process(pid, new) {
        return Added::Yes;
    }
    let Some(old) = maps::process(pid) else {
        return Added::Full;
    };
    if new.start_ns <= old.get().start_ns.saturating_add(SAME_START_NS) {
        return Added::There;
    }
    if old.dead().load() == 0 && !born {
        return Added::There;
    }
    if let Some(owner) = maps::target(old.get().slot) {
        if old.dead().compare_exchange(0, 1) == 0 {
            ended(owner, old);
        }
        count!(owner, tasks).fetch_sub(old.tasks().load());
    }
    maps::remove_process(pid);
    if maps::add_process(pid, new) {
        Added::Yes
    } else {
        Added::Full
    }
}

/// A process has died; said once, by whoever marked it dead.
#[inline(always)]
fn ended(target: Target, entry: Ref<ProcessEntry>) {
    count!(target, exits).count();
    if entry.flags().load() & flag::CONDEMNED != 0 {
        count!(target, condemned_now).fetch_sub(1);
    } else {
        gate::gone(target);
    }
}

/// A process is in the target without having been forked in it: counted even over the cap.
#[inline(always)]
pub fn enter(target: Target, pid: u32, start_ns: u64, tasks: u32) -> Added {
    rate::touch(target);
    let new = entry(target, flag::ENTERED, start_ns, 0, tasks);
    let added = add(pid, &new, false);
    if added == Added::Full {
        count!(target, table_full).count();
    }
    if added != Added::Yes {
        return added;
    }
    slots::force(&gate_word!(target, committed), 1);
    count!(target, tasks).fetch_add(u64::from(tasks));
    count!(target, entered).count();
    gate::alive(target);
    deny::look(target);
    detail::process(
        target,
        &Event {
            what: what::ENTER,
            pid,
            status: 0,
        },
        &new,
    );
    Added::Yes
}

/// A watched process went outside; false where it did not. A condemned one stays: leaving is no
/// escape.
#[inline(always)]
pub fn leave(target: Target, pid: u32, entry: Ref<ProcessEntry>) -> bool {
    if entry.flags().load() & flag::CONDEMNED != 0 {
        return false;
    }
    rate::touch(target);
    // Whoever marks it dead counts it, once.
    if entry.dead().compare_exchange(0, 1) != 0 {
        return false;
    }
    detail::process(
        target,
        &Event {
            what: what::LEAVE,
            pid,
            status: 0,
        },
        entry.get(),
    );
    count!(target, left).count();
    count!(target, tasks).fetch_sub(entry.tasks().load());
    gate::gone(target);
    maps::remove_process(pid)
}

/// The process died without our having seen it: an adopted one that was dead already.
#[inline(always)]
pub fn forget(pid: u32, start_ns: u64) -> bool {
    let Some(entry) = maps::process(pid) else {
        return false;
    };
    let Some(target) = maps::target(entry.get().slot) else {
        return false;
    };
    if entry.get().start_ns != start_ns || entry.dead().compare_exchange(0, 1) != 0 {
        return false;
    }
    rate::touch(target);
    ended(target, entry);
    count!(target, tasks).fetch_sub(entry.tasks().load());
    maps::remove_process(pid)
}

/// A task of a watched process exits; its last one ends the process.
#[inline(always)]
pub fn task_exits(target: Target, pid: u32, entry: Ref<ProcessEntry>) {
    rate::touch(target);
    count!(target, tasks).fetch_sub(1);
    // All tasks past their decrement of `live` see 0; the first to mark the death counts it.
    if task::live() == 0 && entry.dead().compare_exchange(0, 1) == 0 {
        ended(target, entry);
        let event = Event {
            what: what::EXIT,
            pid,
            status: task::exit_code(),
        };
        detail::process(target, &event, entry.get());
    }
    // The entry must outlive its siblings' exits, or their tasks would never be counted off.
    let left = (entry.tasks().fetch_sub(1) as i64).wrapping_sub(1);
    if left <= 0 && entry.dead().load() != 0 {
        maps::remove_process(pid);
    }
}
