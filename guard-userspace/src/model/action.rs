//! What is decided, and how it ended.

use super::TargetId;
use guard_common::{GateLimits, GateMode};

/// Something the policy wants done. Nothing is done of it before the rails allow it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The target it is about.
    pub target: TargetId,
    /// Who wants it.
    pub tier: Tier,
    /// Why.
    pub reason: Reason,
    /// What.
    pub action: Action,
}

/// All that can be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Put limits in force in the kernel.
    Gate(GateLimits),
}

impl Action {
    /// The action's name in the log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gate(_) => "gate",
        }
    }
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The in-kernel limiter and its settings.
    Gate,
}

impl Tier {
    /// The tier's name in log and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
        }
    }
}

/// Why something is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The target is new: its limits are not yet in force.
    New,
    /// Another mode was proved.
    ModeChanged,
}

impl Reason {
    /// The reason's name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new_target",
            Self::ModeChanged => "mode_changed",
        }
    }
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The action's name.
    pub action: &'static str,
    /// The limits it put in force, where it did.
    pub limits: Option<GateLimits>,
    /// Done, or what went wrong.
    pub kind: OutcomeKind,
}

/// Done, or what went wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum OutcomeKind {
    /// In force.
    Done,
    /// Not done: the error in words.
    Failed(String),
    /// Not tried: why the rails refused it.
    Refused(String),
}

/// Limits as an operator writes them: `400 processes, 60 spawns/s after 480 at once, by kill`.
#[must_use]
pub fn limits_in_words(limits: &GateLimits) -> String {
    let mode = GateMode::from_u32(limits.mode).map_or("unknown", GateMode::name);
    let cap = match limits.max_processes {
        u64::MAX => "any number of processes".to_owned(),
        cap => format!("{cap} processes"),
    };
    match 1_000_000_000_u64.checked_div(limits.token_ns) {
        Some(rate) => format!(
            "{cap}, {rate} spawns/s after {} at once, by {mode}",
            limits.burst
        ),
        None => format!("{cap}, any rate, by {mode}"),
    }
}
