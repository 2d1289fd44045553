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
        sample(target, last, now);
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
    sample(target, last, now);
    true
}

#[inline(always)]
fn sample(target: Target, second: u64, now: u64) {
    let header = Header {
        version: LAYOUT_VERSION,
        kind: kind::RATE,
        slot: target.slot,
        boot_ns: now,
    };
    let committed = gate_word!(target, committed).load();
    let written = maps::submit(0, |record: &mut MaybeUninit<RateSample>| {
        maps::fill_sample(record, header, second, committed, target.counters);
    });
    if !written {
        count!(target, lost).count();
    }
}
