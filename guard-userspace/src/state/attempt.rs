//! The one action of a target that is under way, or did not succeed.

use crate::model::{Action, Outcome, OutcomeKind};

/// How long what failed is let be before it is tried again.
pub const RETRY_NS: u64 = 10_000_000_000;

/// An action's fate. Without it a slow action would be decided again on every input.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Attempt {
    /// Nothing is under way and the last action was done.
    #[default]
    None,
    /// Decided; its outcome has not come yet.
    Pending(Action),
    /// Tried without success.
    Failed {
        /// What.
        action: Action,
        /// When, in nanoseconds of CLOCK_BOOTTIME.
        at_ns: u64,
        /// Why.
        why: String,
    },
    /// Refused by the rails.
    Refused(Action),
}

impl Attempt {
    /// Whether `action` may be decided at `now_ns`: nothing is under way, it was not refused, and
    /// it has not failed just now.
    #[must_use]
    pub fn allows(&self, action: &Action, now_ns: u64) -> bool {
        match self {
            Self::None => true,
            Self::Pending(_) => false,
            Self::Failed {
                action: failed,
                at_ns,
                ..
            } => failed != action || now_ns >= at_ns.saturating_add(RETRY_NS),
            Self::Refused(refused) => refused != action,
        }
    }

    /// Takes the outcome of what is pending; an outcome that nobody waits for changes nothing.
    pub fn end(&mut self, outcome: &Outcome, at_ns: u64) {
        *self = match (core::mem::take(self), &outcome.kind) {
            (Self::Pending(_), OutcomeKind::Done) => Self::None,
            (Self::Pending(action), OutcomeKind::Refused(_)) => Self::Refused(action),
            (Self::Pending(action), OutcomeKind::Failed(why)) => Self::Failed {
                action,
                at_ns,
                why: why.clone(),
            },
            (before, _) => before,
        };
    }
}
