//! Seconds: the sample of each active one, written by the first event of the next or by the
//! agent's flush.

use crate::maps::{self, Target};
use crate::{count, gate_word, task};
use core::mem::MaybeUninit;
use guard_common::abi::LAYOUT_VERSION;
use guard_common::record::{Header, RateSample, kind};
use guard_common::word::Word;

/// Notes that something is about to be counted for `target`; where that is the first of a new
/// second, the sample of the one before is written first.
#[inline(always)]
pub fn touch(target: Target) {
    let now = task::now_ns();
    let second = now / 1_000_000_000;
    let word = gate_word!(target, second);
    let last = word.load();
    if last == second {
        return;
    }
    if word.compare_exchange(last, second) == last && last != 0 {
        sample(target.slot, last);
    }
}

/// Writes the sample of a second that has ended without a successor. True where there was one.
#[inline(always)]
pub fn flush(target: Target) -> bool {
    let now = task::now_ns();
    let word = gate_word!(target, second);
    let last = word.load();
    if last == 0 || last >= now / 1_000_000_000 {
        return false;
    }
    if word.compare_exchange(last, 0) != last {
        return false;
    }
    sample(target.slot, last);
    true
}

/// Writes the sample of `second`. Global, so that the verifier walks its loop once, not on every
/// path of every program. 0.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sample(slot: u32, second: u64) -> u32 {
    let Some(target) = maps::target(slot) else {
        return 0;
    };
    let header = Header {
        version: LAYOUT_VERSION,
        kind: kind::RATE,
        slot: target.slot,
        boot_ns: task::now_ns(),
    };
    let committed = gate_word!(target, committed).load();
    let written = maps::submit(0, |record: &mut MaybeUninit<RateSample>| {
        maps::fill_sample(record, header, second, committed, target.counters);
    });
    if !written {
        count!(target, lost).count();
    }
    0
}
