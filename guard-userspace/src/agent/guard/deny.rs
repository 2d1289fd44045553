//! What the loop tells the thread that goes round the targets.

use super::Guard;
use crate::agent::rounds::{Covering, Held};
use crate::config::Mode;
use crate::kernel::canary::Ask;
use crate::model::TargetId;
use crate::policy::near;
use guard_common::GateMode;

impl Guard {
    /// Has execs denied where that is the rung; where they cannot be, the rung is the next one.
    pub(super) fn take_up_deny(&mut self) {
        let refusal = self.ladder.denies_with();
        let taken = self.rounds.deny(refusal);
        if let (Some(_), Err(why)) = (refusal, taken) {
            self.ladder.down(&why, Some(&mut self.kernel));
        }
    }

    /// What a canary needs in this mode.
    pub(super) fn canary_asks(&self) -> Option<Ask> {
        self.ladder.denies_with().map(|_| self.rounds.ask())
    }

    /// Which targets are held now.
    pub(super) fn tell_rounds(&mut self) {
        if self.config.mode == Mode::Observe {
            return;
        }
        let all = self.places.iter().filter_map(|(id, place)| {
            Some(Held {
                slot: id.0,
                dir: place.up.as_ref()?.dir.clone(),
                denies: self.engine.target(id)?.state.mode() == GateMode::Deny,
            })
        });
        let held = all.collect();
        self.rounds.hold(held);
    }

    /// What is asked about now.
    pub fn covering(&self) -> Covering {
        self.rounds.covering()
    }

    /// How near its limits a target must be for its execs to be asked about.
    pub(super) fn tell_near(&mut self, id: TargetId) {
        let Some(place) = self.places.get(id) else {
            return;
        };
        let slots = near::slots(&place.config);
        if let Err(error) = self.kernel.tables.set_near(id.0, slots) {
            tracing::warn!(%error, "how near its limits a target is cannot be told");
        }
    }
}
