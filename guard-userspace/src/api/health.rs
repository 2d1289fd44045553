//! Whether the guard guards.

use super::snapshot::Snapshot;
use crate::model::status::GateStatus;
use serde::Serialize;
use std::time::Duration;

/// A snapshot is taken every second; one that is older shows that the loop stands still.
const STALE: Duration = Duration::from_secs(5);

/// The body of `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `ok` or `failing`.
    pub status: &'static str,
    /// Why it fails: cause and fix of each.
    pub reasons: Vec<String>,
    /// What else does not work: cause and fix of each.
    pub degraded: Vec<String>,
    /// Whether the kernel's events are being read.
    pub sensing: bool,
    /// `enforce` or `observe`.
    pub mode: String,
    /// How the gate refuses, and whether that was shown.
    pub gate: GateStatus,
}

impl Health {
    /// Whether all is well.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// The agent's health when its newest snapshot is `age` old.
#[must_use]
pub fn health(snapshot: &Snapshot, age: Duration) -> Health {
    let status = &snapshot.status;
    let mut reasons = status.problems.clone();
    let stale = age > STALE;
    if stale {
        reasons.push(format!(
            "the agent's loop has stood still for {} s; restart it if that goes on",
            age.as_secs()
        ));
    }
    Health {
        status: if reasons.is_empty() { "ok" } else { "failing" },
        reasons,
        degraded: status.degraded.clone(),
        sensing: status.sensing && !stale,
        mode: status.mode.clone(),
        gate: status.gate.clone(),
    }
}
