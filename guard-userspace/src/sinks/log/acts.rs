//! Decisions and how actions ended, with what spoke for them and what they cost.

use crate::model::deed::Step;
use crate::model::{Ending, FactKind, Ground};
use tracing::{debug, info, warn};

/// What was decided, by whom and why.
pub(super) fn decision(event: &str, target: &str, kind: &FactKind) {
    let FactKind::Decision {
        tier,
        action,
        reason,
        what,
        quiet,
        refused,
        ending,
        doing,
        ..
    } = kind
    else {
        return;
    };
    if *quiet && *action != "role" && *action != "protect" {
        debug!(event, target, tier, action, reason, what, refused);
        return;
    }
    let tree = ending.as_ref();
    let about = About::of(tree);
    let cost = cost(kind);
    let order = tree.map(|ending| ending.order);
    let order = order.or(doing.as_ref().map(|doing| doing.order));
    info!(
        event,
        target,
        tier,
        action,
        reason,
        what,
        refused,
        evidence = about.evidence,
        root = about.root,
        family = about.family,
        processes = about.processes,
        cost,
        order,
    );
}

/// How it ended.
pub(super) fn action(event: &str, target: &str, kind: &FactKind) {
    let FactKind::Action {
        action,
        quiet,
        outcome,
        done,
        ending,
        did,
    } = kind
    else {
        return;
    };
    if *quiet {
        debug!(event, target, action, outcome, done);
        return;
    }
    let about = About::of(ending.as_ref());
    let steps = did.as_ref().map(|did| steps(&did.steps));
    let order = ending.as_ref().map(|ending| ending.order);
    let order = order.or(did.as_ref().map(|did| did.doing.order));
    let (evidence, root, family) = (about.evidence, about.root, about.family);
    if *done {
        info!(
            event,
            target, action, outcome, done, evidence, root, family, steps, order
        );
    } else {
        warn!(
            event,
            target, action, outcome, done, evidence, root, family, steps, order
        );
    }
}

/// What a decision costs whoever uses the target.
pub(in crate::sinks) fn cost(kind: &FactKind) -> Option<&'static str> {
    match kind {
        FactKind::Decision {
            ending: Some(ending),
            ..
        } => Some(ending.how.cost()),
        FactKind::Decision {
            doing: Some(doing), ..
        } => Some(doing.deed.cost()),
        _ => None,
    }
}

/// The tree that something is about.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sinks) struct About<'a> {
    pub evidence: Option<&'static str>,
    pub root: Option<u32>,
    pub family: Option<&'a str>,
    pub processes: Option<u64>,
}

impl<'a> About<'a> {
    pub fn of(ending: Option<&'a Ending>) -> Self {
        let Some(ending) = ending else {
            return Self::default();
        };
        Self {
            evidence: ending.ground.map(Ground::name),
            root: Some(ending.root),
            family: Some(&ending.family),
            processes: Some(ending.processes),
        }
    }
}

/// Each step with what was found: `memory=4294967296, nofile=1048576:1048576 (wanted 1024:2048)`.
pub(in crate::sinks) fn steps(steps: &[Step]) -> String {
    let one = |step: &Step| match (step.ok, step.wanted.as_str()) {
        (true, _) => format!("{}={}", step.what, step.found),
        (false, "") => format!("{}={} (failed)", step.what, step.found),
        (false, wanted) => format!("{}={} (wanted {wanted})", step.what, step.found),
    };
    steps.iter().map(one).collect::<Vec<_>>().join(", ")
}
