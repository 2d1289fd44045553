//! Who belongs to a target: made at fork and inherited from the parent; by the cgroup only where a
//! task enters otherwise.

use crate::detail::Event;
use crate::gate::{self, Answer};
use crate::maps::{self, Ref, Target};
use crate::task::{self, Kptr};
use crate::{count, detail, gate_word, rate};
use guard_common::entry::{ProcessEntry, flag};
use guard_common::record::{verdict, what};
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
    if !add(target, pid, &new) {
        // It entered by an attach between its birth and this event, or the table is full.
        if let Some(token_ns) = granted {
            gate::give_back(target, token_ns);
        }
        return;
    }
    count!(target, tasks).count();
    if granted.is_some() {
        gate::alive(target);
    } else {
        count!(target, condemned).count();
        count!(target, condemned_now).count();
    }
    // Moved out between its birth and this event: the move saw no entry, so we take it away.
    if let Some(child) = child
        && !child.task_shares_cgroups()
        && child.task_cgroup_id().and_then(maps::cgroup_slot) != Some(target.slot)
        && let Some(entry) = maps::process(pid)
    {
        leave(target, pid, entry);
    }
}

/// Slot and token of a fork that has succeeded: taken before it (`lsm`) or asked for now. `None`:
/// there are none, and the child is condemned.
#[inline(always)]
fn settle(target: Target, parent: Ref<ProcessEntry>) -> Option<u64> {
    if gate::mode_is(target, GateMode::Lsm) {
        let tid = task::tid();
        if let Some(pending) = maps::pending(tid) {
            maps::clear_pending(tid);
            return Some(pending.token_ns);
        }
    }
    if parent.flags().load() & flag::CONDEMNED != 0 {
        return None;
    }
    match gate::ask(target) {
        Answer::Granted(token_ns) => Some(token_ns),
        Answer::Refused(limit) if gate::mode_is(target, GateMode::Observe) => {
            slots::force(&gate_word!(target, committed), 1);
            count!(target, would_refuse).count();
            gate::refused(target, limit, verdict::OBSERVED);
            Some(0)
        }
        Answer::Refused(limit) => {
            gate::refused(target, limit, verdict::CONDEMNED);
            None
        }
    }
}

/// Adds an entry; takes the place of one whose process is dead and whose pid has come back.
#[inline(always)]
fn add(target: Target, pid: u32, new: &ProcessEntry) -> bool {
    if maps::add_process(pid, new) {
        return true;
    }
    if let Some(old) = maps::process(pid) {
        if old.get().start_ns == new.start_ns || old.dead().load() == 0 {
            return false;
        }
        let tasks = old.tasks().load();
        if let Some(owner) = maps::target(old.get().slot) {
            count!(owner, tasks).fetch_sub(tasks);
        }
        maps::remove_process(pid);
        if maps::add_process(pid, new) {
            return true;
        }
    }
    count!(target, table_full).count();
    false
}

/// A process is in the target without having been forked in it: counted even over the cap.
#[inline(always)]
pub fn enter(target: Target, pid: u32, start_ns: u64, tasks: u32) -> bool {
    rate::touch(target);
    let new = entry(target, flag::ENTERED, start_ns, 0, tasks);
    if !add(target, pid, &new) {
        return false;
    }
    slots::force(&gate_word!(target, committed), 1);
    count!(target, tasks).fetch_add(u64::from(tasks));
    count!(target, entered).count();
    gate::alive(target);
    detail::process(
        target,
        &Event {
            what: what::ENTER,
            pid,
            status: 0,
        },
        &new,
    );
    true
}

/// A watched process went outside. A condemned one stays: leaving is no escape.
#[inline(always)]
pub fn leave(target: Target, pid: u32, entry: Ref<ProcessEntry>) {
    if entry.flags().load() & flag::CONDEMNED != 0 {
        return;
    }
    rate::touch(target);
    // Whoever marks it dead counts it, once.
    if entry.dead().compare_exchange(0, 1) != 0 {
        return;
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
    maps::remove_process(pid);
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
    count!(target, exits).count();
    count!(target, tasks).fetch_sub(entry.tasks().load());
    gate::gone(target);
    maps::remove_process(pid)
}

/// A task of a watched process exits; its last one ends the process.
#[inline(always)]
pub fn task_exits(target: Target, pid: u32, entry: Ref<ProcessEntry>) {
    rate::touch(target);
    count!(target, tasks).fetch_sub(1);
    // All tasks past their decrement of `live` see 0; the first to mark the death counts it.
    if task::live() == 0 && entry.dead().compare_exchange(0, 1) == 0 {
        count!(target, exits).count();
        if entry.flags().load() & flag::CONDEMNED != 0 {
            count!(target, condemned_now).fetch_sub(1);
        } else {
            gate::gone(target);
        }
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
