//! What a restart has left in the middle, or stopped: the guard does not leave it so.

use super::sentinel::RETRY_NS;
use crate::config::TargetConfig;
use crate::model::{Action, Deed, Doing, Reason, Stamp, Tier};
use crate::state::TargetState;
use crate::state::deeds::{Deeds, HOUR_NS};

/// What is half done is brought to an end. What the guard itself has stopped and could not start again is
/// made anew, at once, since it serves nobody; what that has not brought back is left to people.
#[must_use]
pub fn decide(
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
) -> Option<(Tier, Reason, Action)> {
    let deeds = state.deeds();
    if !config.source.is_container() || deeds.pending().is_some() {
        return None;
    }
    let (reason, deed) = wanted(state, config)?;
    let is_due = deeds.failed().all(|failed| {
        let wait = if failed.refused { HOUR_NS } else { RETRY_NS };
        failed.deed.name() != deed.name() || now.boot_ns >= failed.at_ns.saturating_add(wait)
    });
    let action = Action::Do(Doing { order: 0, deed });
    is_due.then_some((Tier::HostMonitor, reason, action))
}

fn wanted(state: &TargetState, config: &TargetConfig) -> Option<(Reason, Deed)> {
    let deeds: &Deeds = state.deeds();
    if deeds.is_half() {
        return Some((Reason::HalfDone, Deed::Resume));
    }
    let is_down = state.cgroup().is_none() && config.tiers.host_monitor.on;
    let by = deeds.left_down().filter(|_| is_down)?;
    let stop_s = config.restart.stop_timeout.as_secs();
    let was_tried = matches!(by, Deed::Recreate { .. });
    (!was_tried).then_some((Reason::Again, Deed::Recreate { stop_s }))
}
