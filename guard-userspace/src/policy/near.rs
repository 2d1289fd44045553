//! Whether a target is so near its limits that its execs are to be asked about.
//!
//! Asking costs each exec of the target some 200 µs, so far from the limits nobody asks. Near them
//! the marks must be there before the last slot is taken: what is executed unseen over the cap can
//! only be killed.

use crate::config::TargetConfig;
use core::time::Duration;

/// Whole trees that must find room before a target is not near its cap.
const TREES: u64 = 4;

/// Slots that must be free in any case: a storm of single processes takes as many, one each 0.3 ms,
/// while marks are being set (2 ms; 17 seen beside other load, 18 mounts, 2 CPUs, 6.18).
const LEAST: u64 = 32;

/// How long a target that was near is taken for near: marks that come and go with each process cost
/// more than they save.
const HOLD: Duration = Duration::from_secs(3);

/// Near are those with fewer free slots than this. (Tokens are the kernel side's: a quarter of the
/// burst.)
#[must_use]
pub fn slots(config: &TargetConfig) -> u64 {
    let processes = config.gate.tree.processes;
    processes.saturating_mul(TREES).max(LEAST)
}

/// A target that was near is so for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nearness {
    until_ns: u64,
}

impl Nearness {
    /// Takes whether it is near at `now_ns`; says whether it is to be taken for near.
    pub fn see(&mut self, is_near: bool, now_ns: u64) -> bool {
        if is_near {
            let hold = u64::try_from(HOLD.as_nanos()).unwrap_or(u64::MAX);
            self.until_ns = now_ns.saturating_add(hold);
        }
        now_ns < self.until_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Profile, TargetSource};

    #[test]
    fn four_trees_and_never_less_than_a_storm_takes_meanwhile() {
        let check = |profile, processes, expected| {
            let source = TargetSource::Container("one".to_owned());
            let mut config = TargetConfig::of(source, profile);
            config.gate.tree.processes = processes;
            assert_eq!(slots(&config), expected);
        };
        check(Profile::Metamcp, 4, 32);
        check(Profile::Metamcp, 12, 48);
        check(Profile::Generic, 1, 32);
        check(Profile::Generic, u64::MAX, u64::MAX);
    }

    #[test]
    fn nearness_is_held() {
        const MS: u64 = 1_000_000;
        let mut near = Nearness::default();
        assert!(!near.see(false, 5 * MS));
        assert!(near.see(true, 10 * MS));
        assert!(near.see(false, 3_009 * MS));
        assert!(!near.see(false, 3_010 * MS));
        assert!(near.see(true, 3_011 * MS));
    }
}
