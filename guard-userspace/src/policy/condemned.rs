//! When a condemned process has had its chance. At its exec it is denied or dies, at a fork it dies;
//! one that does neither holds memory and CPU time beside the cap, and does not do so for long.

use core::time::Duration;

/// Most CPU time of its own: an exec comes after 0.3 ms, and 20 ms where a shell goes through PATH.
const CPU: Duration = Duration::from_millis(50);

/// The same in `deny`, where its exec is denied, and it then tells its parent, or a person, and ends.
/// Killed on the way it would be a crash, and not a spawn that failed. (50 ms were too few for it in an
/// emulated machine.)
const CPU_DENIED: Duration = Duration::from_secs(1);

/// Longest life.
const LIFE: Duration = Duration::from_secs(10);

/// Whether a condemned process that has used `cpu` and lived for `life` is to be ended; `denies`: the
/// target's mode is `deny`.
#[must_use]
pub fn overdue(cpu: Duration, life: Duration, denies: bool) -> bool {
    let most = if denies { CPU_DENIED } else { CPU };
    cpu >= most || life >= LIFE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_work_or_ten_seconds_of_life() {
        let check = |cpu_ms, life_ms, denies, expected| {
            let ms = Duration::from_millis;
            assert_eq!(overdue(ms(cpu_ms), ms(life_ms), denies), expected);
        };
        check(0, 0, false, false);
        check(49, 9_999, false, false);
        check(50, 0, false, true);
        check(0, 10_000, false, true);
        check(999, 9_999, true, false);
        check(1_000, 0, true, true);
        check(0, 10_000, true, true);
    }
}
