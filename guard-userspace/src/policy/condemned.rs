//! When a condemned process has had its chance. At its exec it is denied or dies, at a fork it dies;
//! one that does neither holds memory and CPU time beside the cap, and does not do so for long.

use core::time::Duration;

/// Most CPU time of its own: an exec comes after 0.3 ms, and 20 ms where a shell goes through PATH.
const CPU: Duration = Duration::from_millis(50);

/// Longest life.
const LIFE: Duration = Duration::from_secs(10);

/// Whether a condemned process that has used `cpu` and lived for `life` is to be ended.
#[must_use]
pub fn overdue(cpu: Duration, life: Duration) -> bool {
    cpu >= CPU || life >= LIFE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_milliseconds_of_work_or_ten_seconds_of_life() {
        let check = |cpu_ms, life_ms, expected| {
            let ms = Duration::from_millis;
            assert_eq!(overdue(ms(cpu_ms), ms(life_ms)), expected);
        };
        check(0, 0, false);
        check(49, 9_999, false);
        check(50, 0, true);
        check(0, 10_000, true);
    }
}
