//! The mode `deny`, as far as the kernel side has a part in it: it says when a target comes near its
//! limits, and answers the agent's questions about processes. It refuses nothing itself: who is
//! condemned and reaches an exec all the same is ended there, as in `kill`.

use crate::maps::{self, Target};
use crate::{count, detail, gate, gate_word, task};
use guard_common::GateMode;
use guard_common::entry::flag;
use guard_common::word::Word;

/// Whether few slots are free (how few is NEAR's to say), or few tokens: a quarter of the burst; or
/// somebody from outside may have used half of its budget.
#[inline(always)]
pub fn is_near(target: Target) -> bool {
    let limits = target.limits.get();
    let committed = gate_word!(target, committed).load();
    let open = limits.terms().open_to_trees();
    if open.saturating_sub(committed) < maps::near_slots(target.slot) {
        return true;
    }
    // All of them may have come in one entry.
    let guests = count!(target, guests).load();
    if guests != 0 && guests >= limits.terms().guest_processes / 2 {
        return true;
    }
    let now = task::now_ns();
    let shape = limits.shape(gate_word!(target, started_ns).load(), now);
    let spent = gate_word!(target, full_at).load().saturating_sub(now);
    let whole = shape.cost(shape.burst);
    whole != 0 && spent > whole - whole / 4
}

/// After a spawn that was granted, or somebody came in: says that the limits are near. It is said
/// again and again, since whoever spawns may have other mounts than those that were there before.
#[inline(always)]
pub fn look(target: Target) {
    if gate::mode_is(target, GateMode::Deny) && is_near(target) {
        detail::near(target);
    }
}

/// A condemned process executes a program and nobody was asked: from a mount that is not marked yet.
#[inline(always)]
pub fn unseen(target: Target) {
    if gate::mode_is(target, GateMode::Deny) {
        detail::near(target);
    }
}

/// Whether the exec that this process waits in is to fail. Counted once per process: a shell that
/// looks for a program in PATH tries the next place.
#[inline(always)]
pub fn judge(pid: u32) -> bool {
    let Some(entry) = maps::process(pid) else {
        return false;
    };
    let Some(target) = maps::target(entry.get().slot) else {
        return false;
    };
    let flags = entry.flags();
    let before = flags.load();
    if before & flag::CONDEMNED == 0 || !gate::mode_is(target, GateMode::Deny) {
        return false;
    }
    if before & flag::DENIED == 0 && flags.compare_exchange(before, before | flag::DENIED) == before
    {
        count!(target, denied).count();
    }
    true
}

/// Whether a living process is condemned; 0: whether any is.
#[inline(always)]
pub fn condemned(target: Target, pid: u32) -> bool {
    if pid == 0 {
        return count!(target, condemned_now).load() != 0;
    }
    let Some(entry) = maps::process(pid) else {
        return false;
    };
    entry.get().slot == target.slot
        && entry.flags().load() & flag::CONDEMNED != 0
        && entry.dead().load() == 0
}

/// The agent is about to kill a condemned process, which is counted here; false: do not.
#[inline(always)]
pub fn sentence(target: Target, pid: u32) -> bool {
    if !condemned(target, pid) {
        return false;
    }
    let Some(entry) = maps::process(pid) else {
        return false;
    };
    let flags = entry.flags();
    let before = flags.load();
    if before & flag::KILLED == 0 && flags.compare_exchange(before, before | flag::KILLED) == before
    {
        count!(target, killed).count();
    }
    true
}
