//! A cap that is too small for what is healthy: it refuses sessions, and no cleanup and no restart helps.

use super::{start, tight};
use crate::config::{Cap, TargetConfig};
use crate::model::{FactKind, Stamp};
use crate::state::TargetState;
use std::collections::BTreeSet;

/// Spawns are refused for so long before that is said, in ns: trees are looked at once a second.
const SETTLED_NS: u64 = 2_000_000_000;

/// What is to be said: once in a storm that is not the excess's doing, and once when a start is over and
/// the number that was configured has no room for another tree of each family.
#[must_use]
pub fn said(
    state: &TargetState,
    config: &TargetConfig,
    excess: u64,
    now: Stamp,
) -> Option<FactKind> {
    if state.cgroup().is_none() || !state.trees().is_fresh() {
        return None;
    }
    let refused = is_refused_without_excess(state, config, excess, now);
    let started = config.gate.max_processes != Cap::Auto
        && state.start().is_some()
        && !start::is_on(state, now)
        && !state.is_start_judged();
    if !refused && !started {
        return None;
    }
    let cap = state.in_force()?.max_processes;
    let healthy = tight::healthy(state, config);
    let families: BTreeSet<&str> = state
        .trees()
        .with_families(state.kin())
        .map(|(_, family)| family)
        .collect();
    let families = u64::try_from(families.len()).unwrap_or(u64::MAX);
    let another = families.saturating_mul(config.gate.tree.processes);
    let enough = healthy
        .saturating_add(another)
        .saturating_add(config.gate.reserve);
    (refused || cap < enough).then_some(FactKind::CapTooSmall {
        cap,
        healthy,
        enough,
    })
}

fn is_refused_without_excess(
    state: &TargetState,
    config: &TargetConfig,
    excess: u64,
    now: Stamp,
) -> bool {
    let Some(levels) = &config.processes else {
        return false;
    };
    let storm = state.storm_since(now).filter(|since| {
        let is_told = state.cap_told_ns().is_some_and(|told| told >= *since);
        now.boot_ns >= since.saturating_add(SETTLED_NS) && !is_told
    });
    storm.is_some()
        && state.is_refused_at_cap(now)
        && excess < levels.critical
        && state.tight().is_none()
}
