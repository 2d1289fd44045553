//! The gate tightened in an emergency: what was ended is not to grow again at once.

use super::{excess, level};
use crate::config::TargetConfig;
use crate::model::Level;
use crate::state::TargetState;

/// The cap in an emergency under pressure (or with `strict`): what is healthy, and as much as is not
/// critical yet. It stays what it was at first, until the count is below critical; being held at it does
/// not keep it.
#[must_use]
pub fn cap(
    state: &TargetState,
    config: &TargetConfig,
    excess: u64,
    pressed_ns: Option<u64>,
) -> Option<u64> {
    let levels = config.processes.as_ref()?;
    let by_count = level::by_count(state, config, excess).map_or(Level::Normal, |(level, _)| level);
    match (state.tight(), by_count) {
        // It is a step of the nuclear monitor's.
        _ if state.cgroup().is_none() || !config.tiers.nuclear_monitor.on => None,
        (Some(tight), Level::Critical | Level::Emergency | Level::Nuclear) => Some(tight),
        (None, Level::Emergency | Level::Nuclear) if pressed_ns.is_some() || levels.strict => {
            Some(healthy(state, config).saturating_add(levels.critical))
        }
        _ => None,
    }
}

/// Slots that what is healthy takes, with what is reserved for it.
#[must_use]
pub fn healthy(state: &TargetState, config: &TargetConfig) -> u64 {
    if !excess::has_gateway(config) {
        return 0;
    }
    let beyond = excess::beyond(state, config);
    let beyond: u64 = beyond.map(|(tree, _)| tree.used.max(tree.reserved)).sum();
    state.committed().saturating_sub(beyond)
}
