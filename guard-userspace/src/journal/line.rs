//! The lines: names of fields are a contract, new ones may be added.

use crate::model::{Action, Decision, Outcome, OutcomeKind, Stamp};
use serde_json::{Value, json};

/// Before an action: who wants it, why, what it is and what it costs.
pub fn intent(id: &str, at: Stamp, target: &str, decision: &Decision) -> Value {
    let action = &decision.action;
    let mut line = json!({
        "kind": "intent",
        "id": id,
        "at_ms": at.wall_ms,
        "target": target,
        "tier": decision.tier.name(),
        "reason": decision.reason.name(),
        "action": action.name(),
        "what": action.in_words(),
    });
    match action {
        Action::End(ending) => {
            put(&mut line, "order", json!(ending.order));
            put(&mut line, "tree", json!(ending.tree));
            put(&mut line, "root", json!(ending.root));
            put(&mut line, "family", json!(ending.family));
            put(&mut line, "processes", json!(ending.processes));
            put(
                &mut line,
                "ground",
                json!(ending.ground.map(|ground| ground.name())),
            );
            put(&mut line, "cost", json!(ending.how.cost()));
        }
        Action::Do(doing) => {
            put(&mut line, "order", json!(doing.order));
            put(&mut line, "cost", json!(doing.deed.cost()));
        }
        _ => {}
    }
    line
}

/// After it.
pub fn outcome(id: &str, at: Stamp, target: &str, outcome: &Outcome) -> Value {
    let (done, why) = match &outcome.kind {
        OutcomeKind::Done => (true, None),
        OutcomeKind::Failed(why) | OutcomeKind::Refused(why) => (false, Some(why)),
    };
    let mut line = json!({
        "kind": "outcome",
        "id": id,
        "at_ms": at.wall_ms,
        "target": target,
        "action": outcome.action,
        "done": done,
        "why": why,
    });
    if let Some(ended) = &outcome.ended {
        put(&mut line, "tree", json!(ended.ending.tree));
        put(&mut line, "processes", json!(ended.processes));
        put(&mut line, "killed", json!(ended.killed));
    }
    if let Some(did) = &outcome.did {
        put(&mut line, "steps", json!(did.steps));
    }
    line
}

/// Something to be known again.
pub fn note(what: &str, at: Stamp, target: &str, value: Value) -> Value {
    json!({
        "kind": what,
        "at_ms": at.wall_ms,
        "target": target,
        "value": value,
    })
}

fn put(line: &mut Value, name: &str, value: Value) {
    if let Some(fields) = line.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}
