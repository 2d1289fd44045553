//! Who belongs to a target: made at fork and inherited from the parent; by the cgroup only where a
//! task enters otherwise.

use crate::detail::Event;
use crate::gate;
use crate::maps::{self, Ref, Target};
use crate::task::{self, Fields};
use crate::{away, count, deny, detail, newborn, rate, trees};
use guard_common::TargetKind;
use guard_common::entry::{ProcessEntry, flag};
use guard_common::record::{limit, verdict, what};
use guard_common::tree::force::Post;
use guard_common::tree::{Grant, Place, Role, place};
use guard_common::word::Word;

/// The target in whose cgroup the current task is.
#[inline(always)]
pub fn current_target() -> Option<Target> {
    maps::target(maps::cgroup_slot(task::cgroup_id())?)
}

/// A process that is being born, as far as its event tells of it.
pub trait Birth: Copy {
    /// Its task.
    type Task: Fields;
    /// Its pid.
    fn pid(self) -> u32;
    /// The flags of the call that makes it.
    fn flags(self) -> u64;
    /// Its task, where that can be found.
    fn task(self) -> Option<Self::Task>;
    /// Its parent is away from the target in `slot`.
    fn is_away(self, slot: u32);
}

/// What became of an entry that was to be added.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Added {
    /// It is in the table.
    Yes = 0,
    /// The process had one already.
    There = 1,
    /// There is no room: the process goes unwatched.
    Full = 2,
}

/// A watched process forked a process: it gets an entry and its place, or is condemned.
#[inline(always)]
pub fn born<B: Birth>(target: Target, parent: Ref<ProcessEntry>, birth: B) {
    let Some(grant) = granted(target, parent) else {
        birth.is_away(target.slot);
        return;
    };
    let pid = birth.pid();
    let (start_ns, found) = match birth.task() {
        Some(child) => (child.task_start_ns(), true),
        None => (task::now_ns(), false),
    };
    let nobody = grant.place.role() == Role::Nobody;
    let root = !nobody && trees::is_root(grant.place, Place(parent.get().place), pid);
    let flags = match (nobody, root) {
        (true, _) => flag::CONDEMNED,
        (_, true) => flag::ROOT,
        _ => 0,
    };
    let new = ProcessEntry {
        tasks: 1,
        dead: 0,
        flags,
        start_ns,
        place: grant.place.0,
        slot: target.slot,
        parent: task::tgid(),
    };
    let added = add(pid, &new, found);
    if added != Added::There {
        // What was there already came in by an attach between its birth and this event, and is
        // counted as that.
        count!(target, spawns).count();
    }
    if added != Added::Yes {
        trees::give_back(target.slot, grant);
        if added == Added::Full {
            // It runs, and nobody will know it: at least that is said.
            gate::refused(target, limit::TABLE, verdict::OBSERVED);
        }
        return;
    }
    count!(target, tasks).count();
    gate::alive(target, grant.place);
    if nobody {
        newborn::begins(target.slot, pid);
    }
    deny::look(target);
    // Moved out between its birth and this event, or born outside by CLONE_INTO_CGROUP: the move
    // saw no entry, so we take it away. Had it seen one, the entry is another target's by now.
    // The task is found anew: kept until here it is spilled, unset where there is none, and 6.1 refuses
    // a program that could read it so.
    if found
        && let Some(child) = birth.task()
        && !child.task_shares_cgroups()
    {
        let slot = child.task_cgroup_id().and_then(maps::cgroup_slot);
        if slot != Some(target.slot) {
            leave(target.slot, pid, Leave::Away);
            if let Some(other) = slot {
                enter(other, pid, start_ns, 1, None);
            }
        }
    }
}

/// Place and tokens of a fork that has succeeded: taken before it (`lsm`) or asked for now; a place
/// of nobody where there was none, and the child is condemned. `None`: its parent has left the
/// target, so it is not ours.
#[inline(always)]
fn granted(target: Target, parent: Ref<ProcessEntry>) -> Option<Grant> {
    // Whatever the mode is by now: what was taken must be used or given back, and to the target it
    // was taken from, which the parent may have left meanwhile.
    if let Some(pending) = maps::take_pending(task::tid()) {
        if pending.slot == target.slot {
            return Some(pending.grant);
        }
        trees::give_back(pending.slot, pending.grant);
    }
    let nothing = Grant {
        place: Place::NOBODY,
        token_ns: 0,
    };
    match gate::ask(target) {
        Ok(grant) => Some(grant),
        Err(trees::HAS_LEFT) => None,
        Err(trees::CONDEMNED) => Some(nothing),
        Err(met) if gate::is_open(target) => {
            count!(target, would_refuse).count();
            gate::refused(target, met, verdict::OBSERVED);
            let post = Post::of_child(Place(parent.place().load()));
            let place = trees::force(target.slot, post);
            Some(Grant {
                place: place.unwrap_or(Place::NOBODY),
                token_ns: 0,
            })
        }
        Err(met) => {
            gate::refused(target, met, verdict::CONDEMNED);
            Some(nothing)
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
    if away::is_away(old) {
        // Never without an entry in between: a fork that looks just then would be nobody's.
        return if maps::replace_process(pid, new) || maps::add_process(pid, new) {
            Added::Yes
        } else {
            Added::There
        };
    }
    if new.start_ns <= old.get().start_ns.saturating_add(SAME_START_NS) {
        return Added::There;
    }
    if old.dead().load() == 0 && !born {
        return Added::There;
    }
    supplant(pid);
    if maps::add_process(pid, new) {
        Added::Yes
    } else {
        Added::Full
    }
}

/// Counts off an entry whose process is gone, and removes it. 0.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn supplant(pid: u32) -> u32 {
    let Some(old) = maps::process(pid) else {
        return 0;
    };
    if let Some(owner) = maps::target(old.get().slot) {
        if old.dead().compare_exchange(0, 1) == 0 {
            ended(owner, old);
        }
        count!(owner, tasks).fetch_sub(old.tasks().load());
    }
    maps::remove_process(pid);
    0
}

/// A process has died; said once, by whoever marked it dead.
#[inline(always)]
fn ended(target: Target, entry: Ref<ProcessEntry>) {
    count!(target, exits).count();
    newborn::ends(target, entry);
    gate::gone(target, place::vacate(&entry.place()));
}

/// Where a process belongs that enters a target.
#[inline(always)]
fn post_of_entrant(target: Target, pid: u32) -> Post {
    if maps::arming(target.slot) {
        // It was there, and the agent will say what it is.
        return Post::Found;
    }
    if target.limits.get().kind != TargetKind::Container as u32 {
        return Post::Root;
    }
    if away::was_of(target.slot, pid) {
        return Post::Root;
    }
    let inside = count!(target, live).load() | count!(target, guests).load();
    if inside == 0 {
        Post::Wrapper
    } else {
        Post::Guest
    }
}

/// A process is in the target without having been forked in it: counted even over the cap. `post`:
/// where it belongs, 0 where that is to be seen. An [`Added`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_enter(slot: u32, pid: u32, start_ns: u64, tasks: u32, post: u64) -> u32 {
    let Some(target) = maps::target(slot) else {
        return Added::Full as u32;
    };
    rate::touch(target);
    let post = match Post::unpack(post) {
        Some(post) => post,
        None => post_of_entrant(target, pid),
    };
    let Some(place) = trees::force(slot, post) else {
        count!(target, table_full).count();
        return Added::Full as u32;
    };
    let root = trees::is_root(place, Place::NOBODY, pid);
    let new = ProcessEntry {
        tasks: i64::from(tasks),
        dead: 0,
        flags: flag::ENTERED | if root { flag::ROOT } else { 0 },
        start_ns,
        place: place.0,
        slot,
        parent: 0,
    };
    let added = add(pid, &new, false);
    if added == Added::Full {
        count!(target, table_full).count();
    }
    if added != Added::Yes {
        trees::leave(slot, place);
        return added as u32;
    }
    count!(target, tasks).fetch_add(u64::from(tasks));
    count!(target, entered).count();
    gate::alive(target, place);
    deny::look(target);
    let event = Event {
        what: what::ENTER,
        pid,
        status: 0,
    };
    detail::process(target, &event, &new);
    Added::Yes as u32
}

/// A process is in the target in `slot` without having been forked in it: counted even over the
/// cap. Where it belongs is seen from what the target is, unless `post` says it.
#[inline(always)]
pub fn enter(slot: u32, pid: u32, start_ns: u64, tasks: u32, post: Option<u64>) -> Added {
    match gate_enter(slot, pid, start_ns, tasks, post.unwrap_or(0)) {
        0 => Added::Yes,
        1 => Added::There,
        _ => Added::Full,
    }
}

/// A fork of one that went outside meanwhile is in the target in `slot` all the same.
#[inline(always)]
pub fn late(slot: u32, pid: u32, start_ns: u64) {
    if enter(slot, pid, start_ns, 1, Some(Post::Root.pack())) == Added::Yes
        && let Some(target) = maps::target(slot)
    {
        count!(target, spawns).count();
        count!(target, entered).fetch_sub(1);
    }
}

/// What becomes of a process that is no longer counted.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Leave {
    /// It is elsewhere and may come back.
    Away = 0,
    /// It stays where it is, which is no target any more.
    Released = 1,
}

/// A watched process of the target in `slot` is no longer counted. 1: it was until now.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_leave(slot: u32, pid: u32, how: u32) -> u32 {
    let (Some(target), Some(entry)) = (maps::target(slot), maps::process(pid)) else {
        return 0;
    };
    if entry.get().slot != slot || entry.flags().load() & flag::CONDEMNED != 0 {
        return 0;
    }
    rate::touch(target);
    // Whoever marks it dead counts it, once.
    if entry.dead().compare_exchange(0, 1) != 0 {
        return 0;
    }
    let event = Event {
        what: what::LEAVE,
        pid,
        status: 0,
    };
    detail::process(target, &event, entry.get());
    count!(target, left).count();
    if how == Leave::Away as u32 {
        // Once, by whoever marked it dead: an addition sets the bit.
        entry.flags().fetch_add(flag::AWAY);
    }
    count!(target, tasks).fetch_sub(entry.tasks().load());
    gate::gone(target, place::vacate(&entry.place()));
    if how != Leave::Away as u32 {
        maps::remove_process(pid);
    }
    1
}

/// A watched process is no longer counted; false where it was not. A condemned one stays: leaving
/// is no escape.
#[inline(always)]
pub fn leave(slot: u32, pid: u32, how: Leave) -> bool {
    gate_leave(slot, pid, how as u32) != 0
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
