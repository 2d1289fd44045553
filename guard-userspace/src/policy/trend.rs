//! Growth of the count that levels go by (`count`).
//!
//! Rate alone is no alarm: twenty servers boot at 36 processes in a second, the explosion of the
//! incident had 3 (workload.md). What tells them apart is that a boot or a session has an end: within a
//! minute it is over, and what it brought is not more than healthy. So it is growth of the excess that is
//! looked at, by the minute's low, which churn does not move; for ten minutes, longer than any boot; and
//! in at least half of these minutes, for one session more is a single step. It warns of what comes
//! too slowly for a threshold and too fast to wait for: from one tree in four minutes to one in two.
//! (Faster reaches `warning` before, slower is what `leak.rs` finds.)

use crate::config::TargetConfig;
use crate::model::FactKind;
use crate::state::TargetState;
use core::fmt;

/// Of ten minutes in so many it must have grown.
const STEPS: usize = 5;

/// How a count has grown without falling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// What it is now.
    pub count: u64,
    /// By how much.
    pub grown: u64,
    /// In how many seconds.
    pub seconds: u64,
    /// Slots that are free, where there is a cap.
    pub free: Option<u64>,
}

impl Growth {
    /// In how many seconds it doubles, if it goes on so; `None`: it was nothing before.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are small, and so are times; it is for people"
    )]
    pub fn doubling_s(&self) -> Option<u64> {
        let before = self.count.checked_sub(self.grown).filter(|n| *n > 0)?;
        let ratio = self.count as f64 / before as f64;
        let doubling = self.seconds as f64 * core::f64::consts::LN_2 / ratio.ln();
        doubling.is_finite().then_some(doubling as u64)
    }

    /// In how many seconds it is at the cap, if it goes on so.
    #[must_use]
    pub fn to_cap_s(&self) -> Option<u64> {
        let left = self.free?.saturating_mul(self.seconds);
        left.checked_div(self.grown)
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (grown, seconds) = (self.grown, self.seconds);
        write!(out, "{grown} more within {seconds} s and never fewer")?;
        if let Some(doubling) = self.doubling_s() {
            write!(out, ", doubled every {doubling} s")?;
        }
        match self.to_cap_s() {
            Some(left) => write!(out, ", at the cap in {left} s"),
            None => Ok(()),
        }
    }
}

/// Growth that has not fallen for ten minutes and is more than half of `warning`.
#[must_use]
pub fn steady(state: &TargetState, config: &TargetConfig) -> Option<Growth> {
    let levels = config.processes.as_ref()?;
    let trend = state.trend();
    if !trend.is_known() {
        return None;
    }
    let (growth, steps) = over(trend.minutes(), 60, state)?;
    (growth.grown > levels.warning / 2 && steps >= STEPS).then_some(growth)
}

/// Growth of the last minute, or of as much of it as is known, in tens of seconds.
#[must_use]
pub fn recent(state: &TargetState) -> Option<Growth> {
    over(state.trend().tens(), 10, state).map(|(growth, _)| growth)
}

/// Growth over lows that never fall, and in how many steps it came.
fn over(
    lows: impl ExactSizeIterator<Item = u64>,
    every_s: u64,
    state: &TargetState,
) -> Option<(Growth, usize)> {
    let stretches = u64::try_from(lows.len()).ok()?.checked_sub(1)?;
    let (mut first, mut last, mut steps) = (None, 0, 0);
    for low in lows {
        if first.is_some() && low < last {
            return None;
        }
        steps += usize::from(first.is_some() && low > last);
        first.get_or_insert(low);
        last = low;
    }
    let grown = last.checked_sub(first?).filter(|grown| *grown > 0)?;
    let cap = state.in_force().map(|limits| limits.max_processes);
    let growth = Growth {
        count: last,
        grown,
        seconds: stretches.saturating_mul(every_s),
        free: cap
            .filter(|cap| *cap != u64::MAX)
            .map(|cap| cap.saturating_sub(state.committed())),
    };
    Some((growth, steps))
}

/// What is to be said: once, until it does not grow any more.
#[must_use]
pub fn said(state: &TargetState, config: &TargetConfig) -> Option<FactKind> {
    let growth = steady(state, config).filter(|_| !state.trend().is_told())?;
    Some(FactKind::Trend {
        count: growth.count,
        grown: growth.grown,
        seconds: growth.seconds,
        doubling_s: growth.doubling_s(),
        to_cap_s: growth.to_cap_s(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_and_time_to_the_cap() {
        let check = |count, grown, free, doubling, to_cap, words: &str| {
            let growth = Growth {
                count,
                grown,
                seconds: 60,
                free,
            };
            assert_eq!(
                (growth.doubling_s(), growth.to_cap_s()),
                (doubling, to_cap),
                "{growth}"
            );
            assert!(growth.to_string().contains(words), "{growth}");
        };
        check(60, 30, Some(90), Some(60), Some(180), "doubled every 60 s");
        check(60, 60, Some(0), None, Some(0), "at the cap in 0 s");
        check(120, 60, None, Some(60), None, "60 more within 60 s");
        check(100, 1, None, Some(4_138), None, "1 more within 60 s");
    }
}
