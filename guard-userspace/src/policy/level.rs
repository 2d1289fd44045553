//! How bad it is.
//!
//! A level is entered at once and left late: each level is held until the figures have asked for
//! less than it for `clear_after`. Figures that swing around a threshold so give one level and not
//! a line of log per swing.

use super::{leak, start, trend};
use crate::config::TargetConfig;
use crate::config::protocol::Count;
use crate::model::{Level, Stamp};
use crate::state::TargetState;
use core::time::Duration;

/// What asks for a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing.
    Calm,
    /// So many processes, from this threshold on.
    Count(u64, u64),
    /// Bytes of memory, above so many.
    Memory(u64, u64),
    /// No slot is free, or a spawn was refused for want of one.
    Held,
    /// That went on for so many seconds after trees were ended.
    HeldOn(u64),
    /// The count grew by so much in so many seconds, and never fell.
    Grows(u64, u64),
    /// A family's number of trees only grows, over hours.
    Leaks,
}

/// The level that the figures alone ask for at `now`, and what asks for it. Without thresholds it is
/// normal.
#[must_use]
pub fn measure(
    state: &TargetState,
    config: &TargetConfig,
    excess: u64,
    now: Stamp,
) -> (Level, Cause) {
    let memory = by_memory(state, config);
    let count = by_count(state, config, excess);
    let gate = by_gate(state, config, excess, now);
    // Of two that ask for the same the first is said: the last one that is not less.
    let trend = trend::steady(state, config)
        .map(|growth| (Level::Warning, Cause::Grows(growth.grown, growth.seconds)));
    let leak = config.processes.as_ref().and_then(|_| leak::named(state));
    let leak = leak.map(|_| (Level::Warning, Cause::Leaks));
    let all = [leak, trend, gate, memory, count].into_iter().flatten();
    let worst = all.max_by_key(|(level, _)| *level);
    worst.unwrap_or((Level::Normal, Cause::Calm))
}

/// The worst level whose threshold the count has reached.
#[must_use]
pub fn by_count(state: &TargetState, config: &TargetConfig, excess: u64) -> Option<(Level, Cause)> {
    let levels = config.processes.as_ref()?;
    let count = count(state, excess, levels.count);
    let reached = [
        (Level::Nuclear, levels.nuclear),
        (Level::Emergency, levels.emergency),
        (Level::Critical, levels.critical),
        (Level::Warning, levels.warning),
    ]
    .into_iter()
    .find(|(_, threshold)| count >= *threshold);
    reached.map(|(level, threshold)| (level, Cause::Count(count, threshold)))
}

/// What levels by count go by.
#[must_use]
pub fn count(state: &TargetState, excess: u64, by: Count) -> u64 {
    match by {
        Count::Excess => excess,
        Count::Total => state.counters().live,
    }
}

/// The worst level that memory asks for. What the kernel would give back by itself does not count: a
/// package cache that was just written fills any limit.
#[must_use]
pub fn by_memory(state: &TargetState, config: &TargetConfig) -> Option<(Level, Cause)> {
    let levels = config.memory.as_ref()?;
    let memory = state.memory()?;
    let used = memory.used();
    let restart_over = levels.restart_over.0;
    if used > restart_over {
        return Some((Level::Nuclear, Cause::Memory(used, restart_over)));
    }
    let limit = memory_limit(state, config)?;
    let reached = [
        (Level::Emergency, levels.emergency),
        (Level::Critical, levels.critical),
        (Level::Warning, levels.warning),
    ]
    .into_iter()
    .map(|(level, share)| (level, share.of(limit)))
    .find(|(_, threshold)| used > *threshold);
    reached.map(|(level, threshold)| (level, Cause::Memory(used, threshold)))
}

/// What the shares of memory are of: the configured limit or the kernel's, whichever is lower, for what is
/// above the limit that the kernel enforces is never reached.
#[must_use]
pub fn memory_limit(state: &TargetState, config: &TargetConfig) -> Option<u64> {
    let own = state.memory().and_then(|memory| memory.limit);
    let configured = config.memory.as_ref()?.limit.map(|limit| limit.0);
    [configured, own].into_iter().flatten().min()
}

/// At the cap it is critical; where spawns are refused on and on though trees were ended, and much is
/// more than healthy, it is nuclear. (Where nothing is, the cap is too small for its demand.)
#[must_use]
pub fn by_gate(
    state: &TargetState,
    config: &TargetConfig,
    excess: u64,
    now: Stamp,
) -> Option<(Level, Cause)> {
    let levels = config.processes.as_ref()?;
    if state.cgroup().is_none() || !state.held_at_cap(now) {
        return None;
    }
    let tried = state
        .storm_since(now)
        .and_then(|since| state.deeds().first_signalled(since));
    let held_for = tried.map(|at| Duration::from_nanos(now.boot_ns.saturating_sub(at)));
    match held_for.filter(|held| *held >= levels.held_for && excess >= levels.critical) {
        Some(held) => Some((Level::Nuclear, Cause::HeldOn(held.as_secs()))),
        None => Some((Level::Critical, Cause::Held)),
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
    (measured, cause): (Level, Cause),
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
) -> String {
    let cleared = config.processes.as_ref().map(|levels| levels.clear_after);
    if level != measured || level == Level::Normal {
        let cleared = cleared.map_or(0, |time| time.as_secs());
        return format!("nothing worse than {} for {cleared} s", level.name());
    }
    let mut words = words(level, cause, state, config, now);
    if let Some(again) = start::again(state, level, now) {
        words.push_str("; ");
        words.push_str(&again);
    }
    words
}

fn words(
    level: Level,
    cause: Cause,
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
) -> String {
    let name = level.name();
    match cause {
        Cause::Calm => String::new(),
        Cause::Count(count, threshold) => {
            let by = config.processes.as_ref().map(|levels| levels.count);
            let what = match by {
                Some(Count::Total) => "live processes",
                _ => "processes beyond what is healthy",
            };
            let growth = trend::recent(state);
            let growth = growth.map_or_else(String::new, |growth| format!("; {growth}"));
            format!("{count} {what}, {name} from {threshold}{growth}")
        }
        Cause::Grows(grown, seconds) => {
            format!("{grown} processes more within {seconds} s and never fewer")
        }
        Cause::Leaks => {
            let family = leak::named(state).unwrap_or_default();
            format!("the number of trees of {family} only grows, over hours")
        }
        Cause::Memory(used, threshold) => format!(
            "{} MB of memory in use, {name} above {} MB",
            used / 1_000_000,
            threshold / 1_000_000
        ),
        Cause::HeldOn(seconds) => format!(
            "spawns are still being refused at the cap {seconds} s after trees were ended: {}",
            slots(state)
        ),
        Cause::Held if state.storm_since(now).is_some() => {
            format!(
                "held at the cap: {}, spawns are being refused",
                slots(state)
            )
        }
        Cause::Held => format!("held at the cap: {}", slots(state)),
    }
}

fn slots(state: &TargetState) -> String {
    let cap = state.in_force().map_or(0, |limits| limits.max_processes);
    format!("{} of {cap} slots taken", state.committed())
}
