//! What takes long and is about a target as a whole: looking for evidence, reminding parents, Docker.

use super::Guard;
use crate::model::{Action, Did, Outcome, OutcomeKind, TargetId};
use crate::rails::Permit;

impl Guard {
    /// Begins what is done elsewhere; gives back what is done here.
    pub(super) fn elsewhere(&mut self, target: TargetId, permit: Permit) -> Option<Permit> {
        let mut outcome = Outcome::of(
            permit.action().name(),
            OutcomeKind::Failed("not built yet".to_owned()),
        );
        match permit.action() {
            Action::Look | Action::Nudge { .. } => {}
            Action::Do(doing) => {
                outcome.did = Some(Box::new(Did {
                    doing: doing.clone(),
                    steps: Vec::new(),
                }));
            }
            _ => return Some(permit),
        }
        self.tell_outcome(target, outcome);
        None
    }
}
