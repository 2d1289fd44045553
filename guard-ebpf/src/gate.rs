//! The gate: asks the cap and the bucket, and says what became of a spawn.

use crate::maps::{self, Target};
use crate::{count, detail, gate_word, task};
use guard_common::abi::MAX_PROCESSES;
use guard_common::record::limit;
use guard_common::word::{Taken, Word};
use guard_common::{GateMode, bucket, slots};

/// What a spawn was given.
#[derive(Clone, Copy)]
pub enum Answer {
    /// One slot, and this many nanoseconds of bucket.
    Granted(u64),
    /// Nothing: it met this limit ([`limit`]).
    Refused(u32),
}

/// Whether the target's limits are in force in `mode`.
#[inline(always)]
pub fn mode_is(target: Target, mode: GateMode) -> bool {
    target.limits.get().mode == mode as u32
}

/// Asks for one slot and one token, both or none.
#[inline(always)]
pub fn ask(target: Target) -> Answer {
    let limits = target.limits.get();
    if maps::watched().is_none_or(|n| n.load() >= u64::from(MAX_PROCESSES)) {
        return Answer::Refused(limit::TABLE);
    }
    let committed = gate_word!(target, committed);
    match slots::take(&committed, 1, limits.max_processes) {
        Taken::Yes => {}
        Taken::Refused => return Answer::Refused(limit::SLOTS),
        Taken::Contended => return Answer::Refused(limit::TABLE),
    }
    let now = task::now_ns();
    let shape = limits.shape(gate_word!(target, started_ns).load(), now);
    match bucket::take(&gate_word!(target, full_at), now, 1, shape) {
        Taken::Yes => Answer::Granted(shape.cost(1)),
        other => {
            slots::give_back(&committed, 1);
            Answer::Refused(if other == Taken::Refused {
                limit::TOKENS
            } else {
                limit::TABLE
            })
        }
    }
}

/// Gives back what a fork that failed had been granted.
#[inline(always)]
pub fn give_back(target: Target, token_ns: u64) {
    slots::give_back(&gate_word!(target, committed), 1);
    gate_word!(target, full_at).fetch_sub(token_ns);
}

/// Gives back what an earlier fork of task `tid` had taken and nobody took over: its task_free was
/// missed, or its process left its target, or its target left `lsm` mode, in the middle of it.
#[inline(always)]
pub fn heal(tid: u32) {
    if let Some(stale) = maps::take_pending(tid)
        && let Some(owner) = maps::target(stale.slot)
    {
        give_back(owner, stale.token_ns);
    }
}

/// One more live process, whose slot is taken.
#[inline(always)]
pub fn alive(target: Target) {
    let before = count!(target, live).fetch_add(1);
    count!(target, peak_live).raise_to(before + 1);
}

/// One live process less; its slot is free again.
#[inline(always)]
pub fn gone(target: Target) {
    count!(target, live).fetch_sub(1);
    slots::give_back(&gate_word!(target, committed), 1);
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

/// The current process is condemned and has reached an exec or a fork: it ends here.
#[inline(always)]
pub fn execute_sentence(target: Target, entry: maps::Ref<guard_common::ProcessEntry>) {
    use guard_common::entry::flag;
    let flags = entry.flags();
    let before = flags.load();
    if task::kill_self() && before & flag::KILLED == 0 {
        // Two threads of one process may both come here; one of them counts.
        if flags.compare_exchange(before, before | flag::KILLED) == before {
            count!(target, killed).count();
        }
    }
}
