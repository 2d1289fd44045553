//! The kernel's clock and ours.

use crate::model::Stamp;
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

const MS_NS: u64 = 1_000_000;

/// Nanoseconds of a clock.
fn ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let rest = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// Nanoseconds in which the machine was awake (CLOCK_MONOTONIC).
#[must_use]
pub fn awake_ns() -> u64 {
    ns(ClockId::Monotonic)
}

/// This moment.
#[must_use]
pub fn now() -> Stamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    Stamp {
        boot_ns: ns(ClockId::Boottime),
        wall_ms: wall.map_or(0, |wall| {
            i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
        }),
    }
}

/// The moment at which the kernel's clock said `boot_ns`, a short time before `now`.
#[must_use]
pub fn at(boot_ns: u64, now: Stamp) -> Stamp {
    let ago_ms = now.boot_ns.saturating_sub(boot_ns) / MS_NS;
    Stamp {
        boot_ns,
        wall_ms: now
            .wall_ms
            .saturating_sub(i64::try_from(ago_ms).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_as_long_ago_on_both_clocks() {
        let now = Stamp {
            boot_ns: 10_000 * MS_NS,
            wall_ms: 1_700_000_000_000,
        };
        assert_eq!(at(9_750 * MS_NS, now).wall_ms, 1_699_999_999_750);
        assert_eq!(at(10_001 * MS_NS, now).wall_ms, now.wall_ms);
    }
}
