//! A fact as one line of a tier's log.

use crate::model::{Fact, FactKind};
use crate::sinks::log::acts::{About, cost, steps};
use serde_json::Value;
use std::time::{Duration, UNIX_EPOCH};

/// The line; `None`: of this nothing is said there.
pub(super) fn line(fact: &Fact, target: &str, tier: &str) -> Option<String> {
    let at = u64::try_from(fact.at.wall_ms).unwrap_or(0);
    let at = UNIX_EPOCH + Duration::from_millis(at);
    let mut line = Line(String::from("{"));
    line.put(
        "timestamp",
        humantime::format_rfc3339_millis(at).to_string(),
    );
    line.put("event", fact.kind.name());
    line.put("target", target);
    match &fact.kind {
        FactKind::Decision {
            tier,
            action,
            reason,
            what,
            refused,
            ending,
            ..
        } => {
            line.put("tier", *tier);
            line.put("action", *action);
            line.put("reason", *reason);
            line.put("what", what.clone());
            line.put("refused", refused.clone());
            line.about(About::of(ending.as_ref()));
            line.put("cost", cost(&fact.kind));
        }
        FactKind::Action {
            action,
            outcome,
            done,
            ending,
            did,
            ..
        } => {
            line.put("tier", tier);
            line.put("action", *action);
            line.put("outcome", outcome.clone());
            line.put("done", *done);
            line.about(About::of(ending.as_ref()));
            line.put("steps", did.as_ref().map(|did| steps(&did.steps)));
        }
        FactKind::Level { from, to, why } => {
            line.put("tier", tier);
            line.put("from", from.name());
            line.put("to", to.name());
            line.put("why", why.clone());
        }
        FactKind::Armed { path, adopted, .. } => {
            line.put("tier", tier);
            line.put("path", path.clone());
            line.put("adopted", *adopted);
        }
        _ => return None,
    }
    Some(line.0 + "}\n")
}

/// An object whose fields keep their order.
struct Line(String);

impl Line {
    /// A field; of nothing, none.
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if value.is_null() {
            return;
        }
        let comma = if self.0.len() > 1 { "," } else { "" };
        self.0.push_str(&format!("{comma}\"{name}\":{value}"));
    }

    fn about(&mut self, about: About<'_>) {
        self.put("evidence", about.evidence);
        self.put("root", about.root);
        self.put("family", about.family);
        self.put("processes", about.processes);
    }
}
