//! How fast a target spawns.

/// Spawns of the last second that had any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    spawns: u64,
    second: u64,
}

impl Rate {
    /// Takes the spawns of `second`.
    pub const fn sample(&mut self, second: u64, spawns: u64) {
        if second >= self.second {
            *self = Self { spawns, second };
        }
    }

    /// Spawns per second, in the second before `now` or the one that runs: 0 once both were silent.
    #[must_use]
    pub const fn at(&self, now: u64) -> u64 {
        if now <= self.second.saturating_add(1) {
            self.spawns
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_over_when_its_second_is() {
        let mut rate = Rate::default();
        rate.sample(100, 7);
        assert_eq!([100, 101, 102].map(|now| rate.at(now)), [7, 7, 0]);
        rate.sample(99, 3);
        assert_eq!(rate.at(101), 7, "a late sample is no news");
    }
}
