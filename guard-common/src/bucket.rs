//! The token bucket on spawns, as one word.
//!
//! The word is the time at which the bucket would be full again (GCRA's theoretical arrival time,
//! ITU-T I.371), so that refill needs no timer and take and return are one atomic each. A bucket
//! whose word lies in the past is full; one whose word lies `burst` tokens ahead is empty.

use crate::word::{self, Taken, Word};

/// Longest time per token that is honoured: 2^40 ns, about 18 minutes.
pub const MAX_TOKEN_NS: u64 = 1 << 40;
/// Largest burst, and largest ask, that is honoured.
pub const MAX_TOKENS: u64 = 1 << 20;

/// A bucket's shape. Values past [`MAX_TOKEN_NS`] and [`MAX_TOKENS`] count as these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Nanoseconds until one token comes back; 0: the bucket never runs dry.
    pub token_ns: u64,
    /// Tokens in a full bucket.
    pub burst: u64,
}

impl Shape {
    /// Nanoseconds of `n` tokens. Both factors are bounded, so the product fits: BPF has no
    /// 128-bit multiplication, and so none that saturates.
    #[inline(always)]
    #[must_use]
    pub const fn cost(self, n: u64) -> u64 {
        let n = if n < MAX_TOKENS { n } else { MAX_TOKENS };
        let token_ns = if self.token_ns < MAX_TOKEN_NS {
            self.token_ns
        } else {
            MAX_TOKEN_NS
        };
        n.wrapping_mul(token_ns)
    }
}

/// Takes `ask` tokens at `now_ns` (any clock that does not go back), all or none.
#[inline(always)]
pub fn take<W: Word>(full_at: &W, now_ns: u64, ask: u64, shape: Shape) -> Taken {
    if shape.token_ns == 0 {
        return Taken::Yes;
    }
    let (depth, cost) = (shape.cost(shape.burst), shape.cost(ask));
    word::update(full_at, |word| {
        let filled = if word > now_ns { word } else { now_ns };
        let spent = filled.checked_add(cost)?;
        (spent - now_ns <= depth).then_some(spent)
    })
}

/// Returns `n` tokens of a spawn that did not happen.
///
/// Tokens that were refilled meanwhile make the word fall below now: that is a full bucket.
#[inline(always)]
pub fn give_back<W: Word>(full_at: &W, n: u64, shape: Shape) {
    full_at.fetch_sub(shape.cost(n));
}

/// Tokens left at `now_ns`.
#[must_use]
pub fn left(full_at: u64, now_ns: u64, shape: Shape) -> u64 {
    match full_at.saturating_sub(now_ns).checked_div(shape.cost(1)) {
        None => u64::MAX,
        Some(spent) => shape.burst.saturating_sub(spent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU64;
    use proptest::prelude::*;
    extern crate std;
    use std::vec::Vec;

    proptest! {
        /// In any stretch of time no more is let through than a full bucket and the refill.
        #[test]
        fn never_more_than_burst_and_refill(
            token_ns in 1u64..1_000_000, burst in 1u64..100,
            steps in prop::collection::vec((0u64..500_000, 1u64..4), 1..300),
        ) {
            let shape = Shape { token_ns, burst };
            let word = AtomicU64::new(0);
            let (mut now, mut let_through) = (1_000_000_000u64, 0u64);
            let start = now;
            for (wait, ask) in steps {
                now += wait;
                if take(&word, now, ask, shape) == Taken::Yes {
                    let_through += ask;
                }
                prop_assert!(let_through <= burst + (now - start) / token_ns);
            }
        }

        /// What is taken and returned leaves the bucket as full as it was.
        #[test]
        fn returned_tokens_are_there_again(
            burst in 1u64..50, asks in prop::collection::vec(1u64..5, 1..50),
        ) {
            let shape = Shape { token_ns: 1_000, burst };
            let word = AtomicU64::new(0);
            let now = 5_000_000;
            let taken: Vec<u64> = asks.into_iter()
                .filter(|&ask| take(&word, now, ask, shape) == Taken::Yes)
                .collect();
            prop_assert_eq!(left(Word::load(&word), now, shape), burst - taken.iter().sum::<u64>());
            for n in taken {
                give_back(&word, n, shape);
            }
            prop_assert_eq!(left(Word::load(&word), now, shape), burst);
        }
    }

    #[test]
    fn a_rate_of_zero_nanoseconds_is_no_limit() {
        let shape = Shape {
            token_ns: 0,
            burst: 0,
        };
        let word = AtomicU64::new(0);
        assert_eq!(take(&word, 1, u64::MAX, shape), Taken::Yes);
        assert_eq!(left(0, 1, shape), u64::MAX);
    }

    #[test]
    fn an_empty_bucket_refuses_until_a_token_is_due() {
        let shape = Shape {
            token_ns: 100,
            burst: 2,
        };
        let word = AtomicU64::new(0);
        assert_eq!(take(&word, 1_000, 2, shape), Taken::Yes);
        assert_eq!(take(&word, 1_099, 1, shape), Taken::Refused);
        assert_eq!(take(&word, 1_100, 1, shape), Taken::Yes);
    }

    #[test]
    fn absurd_shapes_neither_wrap_nor_panic() {
        let shape = Shape {
            token_ns: u64::MAX,
            burst: u64::MAX,
        };
        let word = AtomicU64::new(u64::MAX - 1);
        assert_eq!(take(&word, 3, u64::MAX, shape), Taken::Refused);
    }
}
