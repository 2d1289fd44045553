//! Words of map values that several CPUs change at once.
//!
//! The BPF target has no AtomicU64 of its own (its fetch_add does not select), so the two
//! instructions are written out; both need `-C target-cpu=v3` (Linux 5.12).

use core::arch::asm;
use guard_common::word::Word;

/// A word inside a map value. Made by [`crate::maps`] alone, from a pointer the verifier has
/// checked.
#[derive(Clone, Copy)]
pub struct Cell(*mut u64);

impl Cell {
    /// # Safety
    ///
    /// `word` points to eight aligned bytes of a map value.
    #[inline(always)]
    pub const unsafe fn new(word: *mut u64) -> Self {
        Self(word)
    }

    /// Writes the word; for words that one CPU at a time writes.
    #[inline(always)]
    pub fn store(self, value: u64) {
        // SAFETY: `new` asks for a valid word.
        unsafe { core::ptr::write_volatile(self.0, value) }
    }

    /// Adds one.
    #[inline(always)]
    pub fn count(self) {
        self.fetch_add(1);
    }

    /// Raises the word to `value` where it is lower. A lost race leaves the higher of the two.
    #[inline(always)]
    pub fn raise_to(self, value: u64) {
        let _ = guard_common::word::update(&self, |now| (now < value).then_some(value));
    }
}

impl Word for Cell {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: `new` asks for a valid word.
        unsafe { core::ptr::read_volatile(self.0) }
    }

    #[inline(always)]
    fn compare_exchange(&self, old: u64, new: u64) -> u64 {
        let seen: u64;
        // SAFETY: the pointer is valid; r0 carries the expected value in and the found one out.
        unsafe {
            asm!("r0 = cmpxchg_64({p} + 0, r0, {n})", p = in(reg) self.0, n = in(reg) new,
                 inout("r0") old => seen);
        }
        seen
    }

    #[inline(always)]
    fn fetch_add(&self, n: u64) -> u64 {
        let mut word = n;
        // SAFETY: the pointer is valid.
        unsafe {
            asm!("{v} = atomic_fetch_add((u64 *)({p} + 0), {v})", v = inout(reg) word,
                 p = in(reg) self.0);
        }
        word
    }
}
