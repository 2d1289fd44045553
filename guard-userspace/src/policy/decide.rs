//! One verdict for each input.

use super::{gate, level};
use crate::config::{Mode, TargetConfig};
use crate::model::{Decision, Stamp, TargetId, Tier, Verdict};
use crate::state::TargetState;

/// What to make of `target` at `now`.
#[must_use]
pub fn decide(
    target: TargetId,
    state: &TargetState,
    config: &TargetConfig,
    mode: Mode,
    now: Stamp,
) -> Verdict {
    let measured = level::measure(state, config, now);
    let clear_after = config.processes.as_ref().map(|levels| levels.clear_after);
    let level = level::hold(measured, state.reached(), clear_after, now);
    Verdict {
        at: now,
        measured,
        level,
        why: (level != state.level()).then(|| level::why(level, measured, state, config, now)),
        decisions: gate::decide(state, config, mode, now)
            .map(|(reason, action)| Decision {
                target,
                tier: Tier::Gate,
                reason,
                action,
            })
            .into_iter()
            .collect(),
    }
}
