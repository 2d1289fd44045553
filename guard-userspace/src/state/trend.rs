//! How the count that levels go by has moved of late: what each minute and each ten seconds came down
//! to. Lows, since what rises and falls within them is churn.

use std::collections::VecDeque;

/// Minutes that are remembered: ten of growth have eleven lows.
const MINUTES: usize = 11;

/// Stretches of ten seconds that are remembered: one minute.
const TENS: usize = 7;

/// Of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trend {
    minutes: Lows<60, MINUTES>,
    tens: Lows<10, TENS>,
    told: bool,
}

/// Lows of stretches of `S` seconds, the latest `N` that are complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lows<const S: u64, const N: usize> {
    /// The stretch that runs, and its low.
    running: Option<(u64, u64)>,
    lows: VecDeque<u64>,
}

impl<const S: u64, const N: usize> Lows<S, N> {
    fn see(&mut self, second: u64, count: u64) {
        let stretch = second / S;
        match &mut self.running {
            Some((at, low)) if *at >= stretch => *low = count.min(*low),
            Some((at, low)) => {
                // A gap is not known to be calm.
                if *at + 1 < stretch {
                    self.lows.clear();
                } else {
                    if self.lows.len() == N {
                        self.lows.pop_front();
                    }
                    self.lows.push_back(*low);
                }
                self.running = Some((stretch, count));
            }
            None => self.running = Some((stretch, count)),
        }
    }
}

impl Trend {
    /// The lows of the latest minutes, oldest first: up to eleven.
    pub fn minutes(&self) -> impl ExactSizeIterator<Item = u64> + DoubleEndedIterator {
        self.minutes.lows.iter().copied()
    }

    /// The lows of the latest stretches of ten seconds, oldest first: up to seven.
    pub fn tens(&self) -> impl ExactSizeIterator<Item = u64> + DoubleEndedIterator {
        self.tens.lows.iter().copied()
    }

    /// Whether eleven minutes are known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.minutes.lows.len() == MINUTES
    }

    /// Whether it was said that it grows.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.told
    }

    /// It grows and that is said, or it does not.
    pub const fn grows(&mut self, grows: bool) {
        self.told = grows;
    }

    /// Takes the count at `second` of CLOCK_BOOTTIME.
    pub fn see(&mut self, second: u64, count: u64) {
        self.minutes.see(second, count);
        self.tens.see(second, count);
    }

    /// Nothing is there any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lows_of_whole_stretches_and_nothing_across_a_gap() {
        let mut trend = Trend::default();
        let tens = |trend: &Trend| trend.tens().collect::<Vec<_>>();
        for second in 0..60 {
            trend.see(second, second % 10 + second / 10);
        }
        assert_eq!(tens(&trend), [0, 1, 2, 3, 4], "the sixth still runs");
        for second in 60..200 {
            trend.see(second, second);
        }
        assert_eq!(tens(&trend), [120, 130, 140, 150, 160, 170, 180]);
        assert_eq!(trend.minutes().collect::<Vec<_>>(), [0, 60, 120]);
        trend.see(220, 5);
        assert_eq!(tens(&trend), [0; 0]);
    }
}
