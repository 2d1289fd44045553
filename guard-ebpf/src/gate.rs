//! The gate: asks the cap and the bucket, and says what became of a spawn.

use crate::maps::{self, Target};
use crate::{count, detail, task, trees};
use guard_common::abi::MAX_PROCESSES;
use guard_common::record::limit;
use guard_common::tree::{Grant, Place, Role};
use guard_common::word::Word;
use guard_common::{GateMode, ProcessEntry};

/// Whether the target's limits are in force in `mode`.
#[inline(always)]
pub fn mode_is(target: Target, mode: GateMode) -> bool {
    target.limits.get().mode == mode as u32
}

/// The current process forks: asks for a place for its child.
///
/// # Errors
/// The limit it met ([`limit`]), [`trees::HAS_LEFT`] or [`trees::CONDEMNED`].
#[inline(always)]
pub fn ask(target: Target) -> Result<Grant, u32> {
    if maps::watched().is_none_or(|n| n.load() >= u64::from(MAX_PROCESSES)) {
        return Err(limit::TABLE);
    }
    trees::ask(target.slot)
}

/// Gives back what an earlier fork of task `tid` had taken and nobody took over: its task_free was
/// missed, or its process left its target, or its target left `lsm` mode, in the middle of it.
#[inline(always)]
pub fn heal(tid: u32) {
    if let Some(stale) = maps::take_pending(tid) {
        trees::give_back(stale.slot, stale.grant);
    }
}

/// One more process, in this place.
#[inline(always)]
pub fn alive(target: Target, place: Place) {
    match place.role() {
        Role::Nobody => {
            count!(target, condemned).count();
            count!(target, condemned_now).count();
        }
        Role::Guest => count!(target, guests).count(),
        Role::Wrapper | Role::Gateway | Role::Member => {
            let before = count!(target, live).fetch_add(1);
            count!(target, peak_live).raise_to(before + 1);
        }
    }
}

/// A process is in another place than before: where that is another count, it is in that one now.
#[inline(always)]
pub fn recount(target: Target, before: Place, after: Place) {
    if count_of(before) != count_of(after) {
        alive(target, after);
        uncount(target, before);
    }
}

/// Which count a process is in: of the condemned, of guests, of the living.
#[inline(always)]
const fn count_of(place: Place) -> u32 {
    match place.role() {
        Role::Nobody => 0,
        Role::Guest => 1,
        Role::Wrapper | Role::Gateway | Role::Member => 2,
    }
}

#[inline(always)]
fn uncount(target: Target, place: Place) {
    match place.role() {
        Role::Nobody => count!(target, condemned_now).fetch_sub(1),
        Role::Guest => count!(target, guests).fetch_sub(1),
        Role::Wrapper | Role::Gateway | Role::Member => count!(target, live).fetch_sub(1),
    };
}

/// The process in this place, taken over from it, is no more: its slot is free.
#[inline(always)]
pub fn gone(target: Target, place: Place) {
    uncount(target, place);
    trees::leave(target.slot, place);
}

/// A spawn met a limit: said at once. Of a full table this breach is all that is said: a log line
/// costs 12.7 µs with a reader (kernel-facts §5), in the middle of a fork.
#[inline(always)]
pub fn refused(target: Target, limit: u32, verdict: u32) {
    if limit == limit::TABLE {
        count!(target, table_full).count();
    }
    detail::breach(target, limit, verdict);
}

/// Whether the target's limits refuse nothing: it is observed, or its agent is gone and was to leave
/// no gate behind.
#[inline(always)]
pub fn is_open(target: Target) -> bool {
    mode_is(target, GateMode::Observe) || maps::lets_go()
}

/// The current process is condemned and has reached an exec or a fork: it ends here.
#[inline(always)]
pub fn execute_sentence(target: Target, entry: maps::Ref<ProcessEntry>) {
    use guard_common::entry::flag;
    if maps::lets_go() {
        return;
    }
    let flags = entry.flags();
    let before = flags.load();
    if task::kill_self() && before & flag::KILLED == 0 {
        // Two threads of one process may both come here; one of them counts.
        if flags.compare_exchange(before, before | flag::KILLED) == before {
            count!(target, killed).count();
        }
    }
}
