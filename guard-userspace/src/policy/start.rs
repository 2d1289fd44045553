//! A container's start: how long its start-up values hold, and the cap that is fixed at its end.

use crate::config::checked::STARTUP_WINDOW;
use crate::config::{Cap, TargetConfig};
use crate::model::{FactKind, Level, Stamp};
use crate::state::TargetState;

/// A start is over so long after its last new family, in ns: 20 servers took 36 s, and 53 s at one
/// CPU, with migrations before them that took longer (workload.md).
const QUIET_NS: u64 = 30_000_000_000;

/// Memory per process until it is measured, in bytes: 14 to 19 MB (workload.md).
const PER_PROCESS: u64 = 17_000_000;

/// Fewer processes than this say nothing about the memory that one needs.
const ENOUGH: u64 = 4;

/// What explodes again so soon after a restart was not helped by it, in ns.
pub const AGAIN_NS: u64 = 1_800_000_000_000;

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
    Some(carried(state, per_process(state)?))
}

/// Memory of one process in bytes; `None`: memory was not read.
fn per_process(state: &TargetState) -> Option<u64> {
    let memory = state.memory()?;
    let live = state.counters().live;
    let measured = memory.used().checked_div(live).filter(|_| live >= ENOUGH);
    Some(measured.unwrap_or(PER_PROCESS))
}

/// What is to be said when the cap is fixed: its sum.
#[must_use]
pub fn said(state: &TargetState, fixed: Option<u64>) -> Option<FactKind> {
    if state.auto_cap().is_some() {
        return None;
    }
    Some(FactKind::AutoCap {
        cap: fixed?,
        limit_bytes: state.memory().and_then(|memory| memory.limit),
        per_process_bytes: per_process(state)?,
    })
}

/// Whether the start is over, and what it came to is to be looked at now.
#[must_use]
pub fn is_to_be_judged(state: &TargetState, now: Stamp) -> bool {
    let is_over = state.cgroup().is_some() && state.start().is_some() && !is_on(state, now);
    is_over && !state.is_start_judged() && state.trees().is_fresh()
}

/// Whether it explodes again, so soon after a restart: in words, against the last start that went well.
#[must_use]
pub fn again(state: &TargetState, level: Level, now: Stamp) -> Option<String> {
    let last = state.deeds().last_restart_ns()?;
    let ago = now
        .boot_ns
        .checked_sub(last)
        .filter(|ago| *ago < AGAIN_NS)?;
    state.cgroup().filter(|_| level >= Level::Critical)?;
    let (ago, live) = (ago / 1_000_000_000, state.counters().live);
    let mut words = format!("again {ago} s after a restart: {live} processes");
    let Some(good) = state.good_start() else {
        return Some(words);
    };
    words.push_str(&format!(", {} after its last good start", good.live));
    let holdings = state.trees().holdings(state.kin()).into_iter();
    let grown = holdings.map(|(family, holding)| {
        let now = u64::try_from(holding.roots.len()).unwrap_or(u64::MAX);
        let then = good.families.get(family).copied().unwrap_or(0);
        (now.saturating_sub(then), now, then, family)
    });
    if let Some((_, now, then, family)) = grown.max().filter(|(by, ..)| *by > 0) {
        words.push_str(&format!("; {now} trees of {family}, {then} then"));
    }
    Some(words)
}

fn carried(state: &TargetState, per_process: u64) -> u64 {
    let most = Cap::Auto.processes();
    let limit = state.memory().and_then(|memory| memory.limit);
    let carried = limit.map(|limit| (limit / 5).saturating_mul(4) / per_process.max(1));
    carried.map_or(most, |carried| carried.clamp(LEAST, most))
}
