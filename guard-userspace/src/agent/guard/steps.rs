//! One input: what the engine makes of it, carried out and told.

use super::Guard;
use crate::actions;
use crate::agent::clock;
use crate::model::{Action, Fact, FactKind, Input, InputKind, Stamp, TargetId};
use crate::sinks::log;
use std::collections::VecDeque;

impl Guard {
    /// One input, and all that follows from it.
    pub fn step(&mut self, at: Stamp, target: TargetId, kind: InputKind) {
        let mut open = VecDeque::from([Input { at, target, kind }]);
        while let Some(input) = open.pop_front() {
            if let InputKind::Outcome(outcome) = &input.kind {
                self.journal_outcome(input.at, target, outcome);
            }
            let (permits, facts) = self.engine.step(&input);
            self.publish(&facts);
            let (ends, permits): (Vec<_>, Vec<_>) = permits
                .into_iter()
                .partition(|permit| matches!(permit.action(), Action::End(_)));
            if !ends.is_empty() {
                let written = self.journal_intents(target, &ends);
                self.end_trees(target, ends, written);
            }
            for permit in permits {
                // What takes long is done on threads of its own, and says how it ended as trees do.
                let written = self.journal_intents(target, core::slice::from_ref(&permit));
                let Some(permit) = self.elsewhere(target, permit, written) else {
                    continue;
                };
                let target = permit.target();
                let outcome = actions::execute(permit, &mut self.kernel);
                if outcome.limits.is_some() {
                    self.leave_note(target);
                }
                if outcome.action == "protect" {
                    self.unseen.insert(target);
                }
                open.push_back(Input {
                    at: clock::now(),
                    target,
                    kind: InputKind::Outcome(outcome),
                });
            }
        }
    }

    fn publish(&mut self, facts: &[Fact]) {
        for fact in facts {
            self.desk.hear(&fact.kind);
            if let FactKind::LostEvents { source: "ring", .. } = fact.kind {
                self.unseen.insert(fact.target);
            }
            if let Some(place) = self.places.get(fact.target) {
                log::publish(fact, &place.config.name);
                self.storms.hear(fact, &place.config.name);
                self.tier_logs.hear(fact, &place.config);
            }
        }
    }
}
