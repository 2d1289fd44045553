//! The one way from a decision to an action.

use super::{deed, end};
use crate::config::{Mode, TargetConfig};
use crate::model::{Action, Decision, Stamp, TargetId, limits_in_words};
use crate::state::TargetState;
use guard_common::GateMode;

/// Leave to act once. It cannot be made elsewhere, copied or stored.
#[derive(Debug, PartialEq)]
pub struct Permit {
    decision: Decision,
}

impl Permit {
    /// Of whom.
    #[must_use]
    pub const fn target(&self) -> TargetId {
        self.decision.target
    }

    /// All of the decision.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// What.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.decision.action
    }
}

/// Why a decision is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In words for the operator.
    pub why: String,
    /// Since it is a dry run, and for nothing else.
    pub dry_run: bool,
}

impl Refusal {
    pub(super) const fn new(why: String) -> Self {
        Self {
            why,
            dry_run: false,
        }
    }
}

/// Allows a decision, or says why not.
///
/// # Errors
/// In `observe` all that would change something is refused. Limits that refuse nothing pass: the
/// kernel counts by them what it would have refused. A tree is not ended where `rails/end.rs` says
/// so, nor in a dry run.
pub fn check(
    decision: Decision,
    mode: Mode,
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
) -> Result<Permit, Refusal> {
    match (mode, &decision.action) {
        (Mode::Observe, Action::Gate(limits)) if limits.mode != GateMode::Observe as u32 => {
            let limits = limits_in_words(limits);
            let why = format!("observe: would have held {} at {limits}", config.name);
            Err(Refusal::new(why))
        }
        (_, Action::Gate(_)) => Ok(Permit { decision }),
        (_, action) if action.is_bookkeeping() => Ok(Permit { decision }),
        (_, Action::End(ending)) => {
            end::check(ending, decision.tier, state, config, now)?;
            let would = format!("would have {} {ending}", ending.how.past());
            let would = match ending.ground {
                Some(ground) => format!("{would}: {}", ground.in_words()),
                None => would,
            };
            or_only_say(decision, mode, &would)
        }
        (_, Action::Do(doing)) => {
            deed::check(doing, decision.tier, state, config, now)?;
            let would = format!("would have done: {}", doing.deed);
            or_only_say(decision, mode, &would)
        }
        (_, Action::Nudge { parent, .. }) => {
            let would = format!("would have sent SIGCHLD to pid {}", parent.pid);
            or_only_say(decision, mode, &would)
        }
        (Mode::Observe, action) => {
            let why = format!("observe: would have done `{}`", action.name());
            Err(Refusal::new(why))
        }
        (Mode::Enforce, _) => Ok(Permit { decision }),
    }
}

/// In `observe` and in a dry run nothing is done, and what would have been is said.
fn or_only_say(decision: Decision, mode: Mode, would: &str) -> Result<Permit, Refusal> {
    if mode == Mode::Observe {
        return Err(Refusal::new(format!("observe: {would}")));
    }
    if decision.dry_run {
        return Err(Refusal {
            why: format!("dry run: {would}"),
            dry_run: true,
        });
    }
    Ok(Permit { decision })
}
