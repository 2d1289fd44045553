//! The agent's end.

use super::Guard;
use crate::agent::clock;
use crate::model::InputKind;

impl Guard {
    /// The agent ends: what is not yet told is told, and every target is said to be let go.
    pub fn end(&mut self) {
        crate::kernel::canary::clear_away(&self.v2_mount);
        self.finish_ending();
        self.finish_deeds();
        let now = clock::now();
        let all: Vec<_> = self
            .places
            .iter()
            .map(|(id, place)| (id, place.up.is_some()))
            .collect();
        let stays = self.stays();
        // One that is gone may have been gone for less than a second.
        for (id, up) in all {
            let counts = self.kernel.tables.counters(id.0);
            let counts = counts.map(|own| self.whole(id, &own));
            let gate = self.kernel.tables.gate(id.0);
            let told = self
                .engine
                .target(id)
                .map(|target| *target.state.counters());
            if let (Ok(counters), Ok(gate)) = (counts, gate)
                && told != Some(counters)
            {
                let kind = InputKind::Rate {
                    second: now.second(),
                    committed: gate.committed,
                    counters,
                };
                self.step(now, id, kind);
            }
            if up && !stays {
                let why = "the agent ends, and the gate with it".to_owned();
                self.step(now, id, InputKind::Down { why });
            }
        }
        self.leave(stays);
        self.diary.close();
    }
}
