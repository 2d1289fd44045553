//! When something that costs CPU time is due again: the threads here come before all others, and must
//! not keep a machine from its work, whatever it costs to look at a target.

use std::time::{Duration, Instant};

/// Of the time at most a tenth.
const SHARE: u32 = 10;

/// How something is paced.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    done: Instant,
    took: Duration,
}

impl Pace {
    /// Nothing was done yet.
    pub fn new() -> Self {
        Self {
            done: Instant::now(),
            took: Duration::ZERO,
        }
    }

    /// It was done now, having begun at `began`.
    pub fn done(&mut self, began: Instant) {
        self.done = Instant::now();
        self.took = self.done.saturating_duration_since(began);
    }

    /// When it is due again, if every so often is meant.
    pub fn due(&self, every: Duration) -> Instant {
        self.done + every.max(self.took.saturating_mul(SHARE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_done_seldom() {
        let mut pace = Pace::new();
        let ms = Duration::from_millis;
        assert_eq!(pace.due(ms(25)) - pace.done, ms(25));
        pace.took = ms(2);
        assert_eq!(pace.due(ms(25)) - pace.done, ms(25));
        pace.took = ms(30);
        assert_eq!(pace.due(ms(25)) - pace.done, ms(300));
        assert_eq!(pace.due(ms(1_000)) - pace.done, ms(1_000));
    }
}
