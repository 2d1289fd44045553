//! How bad it is.
//!
//! A level is entered at once and left late: each level is held until the figures have asked for
//! less than it for `clear_after`. Figures that swing around a threshold so give one level and not
//! a line of log per swing.

use crate::config::TargetConfig;
use crate::config::protocol::Count;
use crate::model::{Level, Stamp};
use crate::state::TargetState;
use core::time::Duration;

/// The level that the figures alone ask for at `now`. Without thresholds it is normal.
#[must_use]
pub fn measure(state: &TargetState, config: &TargetConfig, excess: u64, now: Stamp) -> Level {
    if config.processes.is_none() {
        return Level::Normal;
    }
    let gate = if state.held_at_cap(now) {
        Level::Critical
    } else {
        Level::Normal
    };
    by_count(state, config, excess)
        .map_or(Level::Normal, |(level, _)| level)
        .max(gate)
}

/// The worst level whose threshold the count has reached, and that threshold.
fn by_count(state: &TargetState, config: &TargetConfig, excess: u64) -> Option<(Level, u64)> {
    let levels = config.processes.as_ref()?;
    let count = count(state, excess, levels.count);
    [
        (Level::Nuclear, levels.nuclear),
        (Level::Emergency, levels.emergency),
        (Level::Critical, levels.critical),
        (Level::Warning, levels.warning),
    ]
    .into_iter()
    .find(|(_, threshold)| count >= *threshold)
}

fn count(state: &TargetState, excess: u64, by: Count) -> u64 {
    match by {
        Count::Excess => excess,
        Count::Total => state.counters().live,
    }
}

/// The level in force: the worst that is measured now or was measured less than `clear_after` ago.
///
/// `reached` tells for each level when the figures last asked for it or worse.
#[must_use]
pub fn hold(
    measured: Level,
    reached: impl Iterator<Item = (Level, u64)>,
    clear_after: Option<Duration>,
    now: Stamp,
) -> Level {
    let hold_ns = clear_after.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    reached
        .filter(|(_, at)| now.boot_ns < at.saturating_add(hold_ns))
        .map(|(level, _)| level)
        .max()
        .unwrap_or_default()
        .max(measured)
}

/// Why `level`, in words for the operator.
#[must_use]
pub fn why(
    level: Level,
    measured: Level,
    state: &TargetState,
    config: &TargetConfig,
    excess: u64,
    now: Stamp,
) -> String {
    let Some(levels) = &config.processes else {
        return String::new();
    };
    if level != measured || level == Level::Normal {
        let cleared = levels.clear_after.as_secs();
        return format!("nothing worse than {} for {cleared} s", level.name());
    }
    match by_count(state, config, excess) {
        Some((by_count, threshold)) if by_count == level => {
            let (count, what) = match levels.count {
                Count::Excess => (excess, "processes beyond what is healthy"),
                Count::Total => (state.counters().live, "live processes"),
            };
            format!("{count} {what}, {} from {threshold}", level.name())
        }
        _ => format!(
            "held at the cap: {} of {} slots taken{}",
            state.committed(),
            state.in_force().map_or(0, |limits| limits.max_processes),
            if state.storm_since(now).is_some() {
                ", spawns are being refused"
            } else {
                ""
            },
        ),
    }
}
