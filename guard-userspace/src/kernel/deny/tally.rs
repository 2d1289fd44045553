//! What the answering thread has done, counted where others may read it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Steps of [`Counts::took`].
pub const STEPS: usize = 40;

/// Counts of a thread that answers; they only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Questions. One exec asks several times: for the script, its interpreter, ld.so.
    pub asked: u64,
    /// Questions answered with a refusal. The first refusal ends an exec; a shell that looks for a
    /// program in PATH tries the next place and is refused again.
    pub denied: u64,
    /// Answers that the kernel did not take, and was told Allow instead.
    pub failed: u64,
    /// Execs that the kernel denied by itself, with EPERM, because it could open no descriptor.
    pub unread: u64,
    /// Times that the queue was full and execs passed unasked.
    pub overflows: u64,
    /// Longest from read to answered, in ns.
    pub longest_ns: u64,
    /// How many took from 2^i to 2^(i+1) ns from read to answered.
    pub took: [u64; STEPS],
}

impl Counts {
    /// An upper bound of the time that the quickest `share` of a thousand took, in ns.
    #[must_use]
    pub fn per_mille(&self, share: u64) -> u64 {
        let all: u64 = self.took.iter().sum();
        let mut left = all.saturating_mul(share).div_ceil(1_000);
        for (step, n) in self.took.iter().enumerate() {
            left = left.saturating_sub(*n);
            // The last step has no upper end.
            if left == 0 && step + 1 < STEPS {
                return (2u64 << step).min(self.longest_ns);
            }
        }
        self.longest_ns
    }
}

/// The words behind [`Counts`], written by one thread.
#[derive(Debug)]
pub struct Tally {
    /// As [`Counts::asked`].
    pub asked: AtomicU64,
    /// As [`Counts::denied`].
    pub denied: AtomicU64,
    /// As [`Counts::failed`].
    pub failed: AtomicU64,
    /// As [`Counts::unread`].
    pub unread: AtomicU64,
    /// As [`Counts::overflows`].
    pub overflows: AtomicU64,
    longest_ns: AtomicU64,
    took: [AtomicU64; STEPS],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            asked: AtomicU64::default(),
            denied: AtomicU64::default(),
            failed: AtomicU64::default(),
            unread: AtomicU64::default(),
            overflows: AtomicU64::default(),
            longest_ns: AtomicU64::default(),
            took: [const { AtomicU64::new(0) }; STEPS],
        }
    }
}

impl Tally {
    /// One more.
    pub fn count(word: &AtomicU64) {
        word.fetch_add(1, Relaxed);
    }

    /// An answer took so long.
    pub fn took(&self, ns: u64) {
        self.longest_ns.fetch_max(ns, Relaxed);
        let step = ns.checked_ilog2().unwrap_or(0) as usize;
        if let Some(word) = self.took.get(step.min(STEPS - 1)) {
            word.fetch_add(1, Relaxed);
        }
    }

    /// As they are now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |word: &AtomicU64| word.load(Relaxed);
        Counts {
            asked: of(&self.asked),
            denied: of(&self.denied),
            failed: of(&self.failed),
            unread: of(&self.unread),
            overflows: of(&self.overflows),
            longest_ns: of(&self.longest_ns),
            took: std::array::from_fn(|step| self.took.get(step).map_or(0, of)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_known_within_a_factor_of_two() {
        let tally = Tally::default();
        assert_eq!(tally.counts().per_mille(500), 0);
        (0..99).for_each(|_| tally.took(1_000));
        tally.took(70_000);
        let counts = tally.counts();
        assert_eq!(counts.longest_ns, 70_000);
        assert_eq!(counts.per_mille(500), 1_024);
        assert_eq!(counts.per_mille(990), 1_024);
        assert_eq!(counts.per_mille(1_000), 70_000);
        tally.took(0);
        tally.took(u64::MAX);
        assert_eq!(tally.counts().per_mille(1_000), u64::MAX);
    }
}
