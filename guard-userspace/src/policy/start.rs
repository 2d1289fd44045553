//! A container's start: how long its start-up values hold, and the cap that is fixed at its end.

use crate::config::checked::STARTUP_WINDOW;
use crate::config::{Cap, TargetConfig};
use crate::model::Stamp;
use crate::state::TargetState;

/// A start is over so long after its last new family, in ns: 20 servers took 36 s, and 53 s at one
/// CPU, with migrations before them that took longer (workload.md).
const QUIET_NS: u64 = 30_000_000_000;

/// Memory per process until it is measured, in bytes: 14 to 19 MB (workload.md).
const PER_PROCESS: u64 = 17_000_000;

/// Fewer processes than this say nothing about the memory that one needs.
const ENOUGH: u64 = 4;

/// Least and most of what memory is said to carry.
const LEAST: u64 = 100;

/// Whether the container is starting at `now`.
#[must_use]
pub fn is_on(state: &TargetState, now: Stamp) -> bool {
    let window_ns = u64::try_from(STARTUP_WINDOW.as_nanos()).unwrap_or(u64::MAX);
    state.start().is_some_and(|start| {
        let longest = start.since_ns.saturating_add(window_ns);
        let quiet = start.family_ns.saturating_add(QUIET_NS);
        now.boot_ns < longest.min(quiet)
    })
}

/// The cap: a number of the config's, or what memory can carry: 80 % of its limit by what a process
/// needs.
#[must_use]
pub fn cap(state: &TargetState, config: &TargetConfig, now: Stamp) -> u64 {
    match config.gate.max_processes {
        Cap::Count(count) => count,
        Cap::Auto => fixed(state, config, now).unwrap_or_else(|| carried(state, PER_PROCESS)),
    }
}

/// The cap to fix, where it is one to be fixed and the start is over.
#[must_use]
pub fn fixed(state: &TargetState, config: &TargetConfig, now: Stamp) -> Option<u64> {
    if config.gate.max_processes != Cap::Auto {
        return None;
    }
    if let Some(fixed) = state.auto_cap() {
        return Some(fixed);
    }
    if state.cgroup().is_none() || is_on(state, now) {
        return None;
    }
    let memory = state.memory()?;
    let live = state.counters().live;
    let measured = memory.used().checked_div(live).filter(|_| live >= ENOUGH);
    Some(carried(state, measured.unwrap_or(PER_PROCESS)))
}

fn carried(state: &TargetState, per_process: u64) -> u64 {
    let most = Cap::Auto.processes();
    let limit = state.memory().and_then(|memory| memory.limit);
    let carried = limit.map(|limit| (limit / 5).saturating_mul(4) / per_process.max(1));
    carried.map_or(most, |carried| carried.clamp(LEAST, most))
}
