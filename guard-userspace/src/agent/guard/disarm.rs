//! `disarm`: the gate lets go of a target, or of all of them, by an operator's word.

use super::Guard;
use crate::agent::clock;
use crate::api::Unheard;
use crate::model::TargetId;
use crate::model::order::{Disarm, DisarmAnswer, DisarmRequest};

impl Guard {
    /// Lets go of what is meant. A target stays let go of until the agent starts again; with all of them
    /// the agent ends.
    ///
    /// # Errors
    /// There is no such target.
    pub(super) fn disarm(&mut self, request: &DisarmRequest) -> Result<DisarmAnswer, Unheard> {
        let ends = request.target.is_none();
        let meant: Vec<TargetId> = match &request.target {
            Some(name) => vec![self.target_of_name(name)?],
            None => self.places.iter().map(|(id, _)| id).collect(),
        };
        let names = meant.iter().map(|id| super::named(self.places.get(*id)));
        let targets = names.map(str::to_owned).collect();
        if !request.dry_run && ends {
            self.disarmed = true;
        } else if !request.dry_run {
            for id in meant {
                self.disarm_one(id);
            }
        }
        Ok(DisarmAnswer {
            action: Disarm::Disarm,
            dry_run: request.dry_run,
            targets,
            ends,
        })
    }

    fn disarm_one(&mut self, id: TargetId) {
        let Some(place) = self.places.get_mut(id) else {
            return;
        };
        place.disarmed = true;
        place.expected = None;
        self.go_down(clock::now(), id, "an operator has disarmed it");
        self.open_slot(id);
    }
}
