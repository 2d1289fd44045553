//! Trees in the kernel: the table of accounts, and the gate's operations on it.
//!
//! Each operation is a global function (`no_mangle`): the verifier walks it once and by itself,
//! where it would walk a private one again at each call and on each path to it. Inlined, a fork's
//! ask alone made it walk 252,742 instructions of task_newtask (6.18). The price: arguments are
//! numbers or point to the caller's stack, and the target is looked up again, which is three array
//! elements that the JIT inlines.

use crate::atomic::Cell;
use crate::maps::{self, Ref, Target};
use crate::{count, gate, gate_word, task};
use guard_common::entry::flag;
use guard_common::record::limit;
use guard_common::tree::account::{Account, Kind};
use guard_common::tree::force::{Moved, Post};
use guard_common::tree::place::MAX_ID;
use guard_common::tree::{Gate, Grant, Left, Place, Refusal, Role, Table, adjust};
use guard_common::word::Word;
use guard_common::{ProcessEntry, TreeEntry};

/// The accounts of all targets, as one run of a program sees them.
struct Trees {
    target: Target,
    now_ns: u64,
}

impl Table for Trees {
    type Word = Cell;

    #[inline(always)]
    fn fresh(&self) -> u64 {
        match maps::last_tree() {
            Some(last) => last.fetch_add(1).wrapping_add(1) & MAX_ID,
            None => 0,
        }
    }

    #[inline(always)]
    fn find(&self, id: u64) -> Option<Cell> {
        // An entry can be another process's by the time its place is read; of another target's tree
        // nothing must be counted here.
        let tree = maps::tree(id).filter(|tree| tree.get().slot == self.target.slot);
        tree.map(|tree| tree.account())
    }

    #[inline(always)]
    fn add(&self, id: u64, account: u64) -> bool {
        let entry = TreeEntry {
            account,
            active_ns: self.now_ns,
            born_ns: self.now_ns,
            root: 0,
            slot: self.target.slot,
        };
        let added = maps::add_tree(id, &entry);
        if added && Account(account).kind() == Kind::Tree {
            count!(self.target, trees).count();
        }
        added
    }

    #[inline(always)]
    fn remove(&self, id: u64) {
        maps::remove_tree(id);
    }
}

/// Runs `operation` on the gate of the target in `slot`.
#[inline(always)]
fn with<R>(slot: u32, operation: impl FnOnce(Target, Gate<'_, Cell, Trees>) -> R) -> Option<R> {
    let target = maps::target(slot)?;
    let now_ns = task::now_ns();
    let limits = target.limits.get();
    let table = Trees { target, now_ns };
    let gate = Gate {
        committed: &gate_word!(target, committed),
        full_at: &gate_word!(target, full_at),
        table: &table,
        terms: limits.terms(),
        shape: limits.shape(gate_word!(target, started_ns).load(), now_ns),
        now_ns,
    };
    Some(operation(target, gate))
}

/// An answer of [`gate_ask`] that is none of [`limit`]: the grant is written.
pub const GRANTED: u32 = 0;
/// An answer of [`gate_ask`] that is none of [`limit`]: the spawner has left the target.
pub const HAS_LEFT: u32 = 255;
/// The forking process is condemned, and so is its child: nobody met a limit.
pub const CONDEMNED: u32 = 254;

/// The current process forks a process: asks for a place for the child.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_ask(slot: u32, to: *mut Grant) -> u32 {
    if to.is_null() {
        return limit::TABLE;
    }
    // Moved to another target since the caller looked, it has another entry, whose tree is not here.
    let parent = maps::process(task::tgid()).filter(|parent| parent.get().slot == slot);
    let Some(parent) = parent else {
        return HAS_LEFT;
    };
    let answer = with(slot, |_, gate| gate.ask(&parent.place()));
    let met = match answer {
        Some(Ok(grant)) => {
            // SAFETY: the verifier checks that the caller's stack has room for a grant.
            unsafe { to.write(grant) };
            return GRANTED;
        }
        Some(Err(met)) => met,
        None => Refusal::Table,
    };
    match met {
        Refusal::Slots => limit::SLOTS,
        Refusal::Tokens => limit::TOKENS,
        Refusal::Guests => limit::GUESTS,
        Refusal::Table => limit::TABLE,
        Refusal::Left => HAS_LEFT,
        Refusal::Condemned => CONDEMNED,
    }
}

/// Asks for a place for the child that the current process forks, of the target in `slot`; or says
/// which limit it met.
#[inline(always)]
pub fn ask(slot: u32) -> Result<Grant, u32> {
    let mut grant = Grant {
        place: Place::NOBODY,
        token_ns: 0,
    };
    let mut met = gate_ask(slot, &raw mut grant);
    if met == limit::TABLE {
        // Its tree was gone when it was looked up: it is being moved out and in again meanwhile, and
        // is in another one now (one of 1,500 forks beside a mover without a pause, on 6.12).
        met = gate_ask(slot, &raw mut grant);
    }
    match met {
        GRANTED => Ok(grant),
        met => Err(met),
    }
}

/// A place is free, or a fork that was granted it has failed. 0.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_return(slot: u32, place: u64, token_ns: u64) -> u32 {
    let grant = Grant {
        place: Place(place),
        token_ns,
    };
    with(slot, |target, gate| {
        if gate.give_back(grant) == Left::Tree {
            count!(target, trees).fetch_sub(1);
        }
    });
    0
}

/// Gives back what a fork was granted that did not succeed.
#[inline(always)]
pub fn give_back(slot: u32, grant: Grant) {
    gate_return(slot, grant.place.0, grant.token_ns);
}

/// Gives a place back whose process has ended or gone outside.
#[inline(always)]
pub fn leave(slot: u32, place: Place) {
    gate_return(slot, place.0, 0);
}

/// An answer of [`gate_force`]: there is no such place.
const NOWHERE: u64 = u64::MAX;

/// A place even over the cap.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_force(slot: u32, post: u64) -> u64 {
    let Some(post) = Post::unpack(post) else {
        return NOWHERE;
    };
    let place = with(slot, |_, gate| gate.force(post)).flatten();
    place.map_or(NOWHERE, |place| place.0)
}

/// A place even over the cap; `None` where its account is gone or there is no room for one.
#[inline(always)]
pub fn force(slot: u32, post: Post) -> Option<Place> {
    match gate_force(slot, post.pack()) {
        NOWHERE => None,
        place => Some(Place(place)),
    }
}

/// Moves process `pid` of the target in `slot` to another place. 1: it is there.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_move(slot: u32, pid: u32, post: u64) -> u32 {
    let (Some(entry), Some(post)) = (maps::process(pid), Post::unpack(post)) else {
        return 0;
    };
    let before = Place(entry.place().load());
    let moved = with(slot, |target, gate| {
        let moved = gate.move_to(&entry.place(), post);
        if moved == Moved::Yes(Left::Tree) {
            count!(target, trees).fetch_sub(1);
        }
        moved
    });
    let (Some(Moved::Yes(_)), Some(target)) = (moved, maps::target(slot)) else {
        return 0;
    };
    let after = Place(entry.place().load());
    if is_root(after, before, pid) {
        set(entry, flag::ROOT);
    }
    if after.role() == Role::Nobody {
        set(entry, flag::CONDEMNED);
    }
    gate::recount(target, before, after);
    1
}

/// Sets a bit of a process's flags.
#[inline(always)]
fn set(entry: Ref<ProcessEntry>, bit: u64) {
    let _ = guard_common::word::update(&entry.flags(), |flags| Some(flags | bit));
}

/// Moves a process to another place; false where it had ended, or that place is none.
#[inline(always)]
pub fn move_to(slot: u32, pid: u32, post: u64) -> bool {
    gate_move(slot, pid, post) != 0
}

/// Raises tree `id`'s reservation towards `peak`, below `room`; returns the slots that took.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_raise(slot: u32, id: u64, peak: u64, room: u64) -> u64 {
    with(slot, |_, gate| gate.raise(id, peak, room)).unwrap_or(0)
}

/// Raises a tree's reservation; false where nothing came of it.
#[inline(always)]
pub fn raise(slot: u32, id: u64, peak: u64, room: u64) -> bool {
    gate_raise(slot, id, peak, room) != 0
}

/// Tree `id` gives back what it does not use but one, unless it is smaller than `floor`; returns
/// the slots that freed.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_settle(slot: u32, id: u64, floor: u64) -> u64 {
    with(slot, |_, gate| gate.settle(id, floor)).unwrap_or(0)
}

/// Settles a tree; false where nothing came of it.
#[inline(always)]
pub fn settle(slot: u32, id: u64, floor: u64) -> bool {
    gate_settle(slot, id, floor) != 0
}

/// Process `pid`, in a tree, is a gateway. 1: it is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_protect(slot: u32, pid: u32) -> u32 {
    let Some(entry) = maps::process(pid) else {
        return 0;
    };
    let became = with(slot, |target, gate| {
        let tree = Place(entry.place().load()).tree();
        let was = gate.table.find(tree).map(|word| Account(word.load()));
        let became = gate.protect(&entry.place());
        // One agent asks, one at a time: nobody else opens accounts.
        let opened = matches!(became, adjust::Became::Yes(_));
        if opened && was.is_some_and(|was| was.is(tree) && was.kind() == Kind::Tree) {
            count!(target, trees).fetch_sub(1);
        }
        opened
    });
    u32::from(became == Some(true))
}

/// Makes a process in a tree a gateway; false where that cannot be.
#[inline(always)]
pub fn protect(slot: u32, pid: u32) -> bool {
    gate_protect(slot, pid) != 0
}

/// Process `pid`, of the spine, is a wrapper or a gateway. 1: it is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_spine(slot: u32, pid: u32, role: u64) -> u32 {
    let Some(entry) = maps::process(pid) else {
        return 0;
    };
    let role = Place(role << guard_common::tree::place::ROLE).role();
    let became = with(slot, |_, gate| gate.set_spine(&entry.place(), role));
    u32::from(matches!(became, Some(adjust::Became::Yes(_))))
}

/// Says what a process of the spine is; false where it is none.
#[inline(always)]
pub fn set_spine(slot: u32, pid: u32, role: u64) -> bool {
    gate_spine(slot, pid, role) != 0
}

/// A process has executed a program: its tree is active.
#[inline(always)]
pub fn active(place: Place) {
    if place.tree() != 0
        && let Some(tree) = maps::tree(place.tree())
    {
        tree.active_ns().store(task::now_ns());
    }
}

/// Process `pid` was born into `place` by a parent in `parent`: whether it is the root of a new
/// tree, which then knows it.
#[inline(always)]
pub fn is_root(place: Place, parent: Place, pid: u32) -> bool {
    let id = place.tree();
    if id == 0 {
        return false;
    }
    let Some(tree) = maps::tree(id) else {
        return false;
    };
    if id == parent.tree() || tree.get().root != 0 {
        tree.active_ns().store(task::now_ns());
        return false;
    }
    tree.set_root(pid);
    true
}
