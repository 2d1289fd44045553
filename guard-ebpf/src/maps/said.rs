//! What may be said now: readers are woken each time.

use super::{NEAR, NEAR_SAID, SPOKEN, only, word};
use guard_common::word::Word;

/// Whether a full table may be spoken of now: once a second is enough for a log, and its readers
/// are woken each time.
#[inline(always)]
pub fn may_speak(now_ns: u64) -> bool {
    only(&SPOKEN).is_some_and(|word| {
        let last = word.load();
        now_ns.wrapping_sub(last) > 1_000_000_000 && word.compare_exchange(last, now_ns) == last
    })
}

/// A target is near its limits while fewer slots than this are free.
#[inline(always)]
pub fn near_slots(slot: u32) -> u64 {
    NEAR.get(slot).copied().unwrap_or(0)
}

/// Whether that may be said of a target now.
#[inline(always)]
pub fn may_say_near(slot: u32, now_ns: u64, every_ns: u64) -> bool {
    let Some(word) = word(&NEAR_SAID, slot) else {
        return false;
    };
    let last = word.load();
    now_ns.wrapping_sub(last) > every_ns && word.compare_exchange(last, now_ns) == last
}
