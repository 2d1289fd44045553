//! Rungs that held before and fell, and when each is tried again: once the next one has had its turn,
//! and after each failure twice as many turns later. To attach programs costs the agent's loop a tenth of a
//! second.

use guard_common::GateMode;

/// Most turns between two tries.
const RARELY: u32 = 16;

/// The rungs, the best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallen(Vec<Rung>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rung {
    mode: GateMode,
    /// Turns to wait after the next failure.
    pause: u32,
    /// Turns still to wait.
    wait: u32,
}

impl Fallen {
    /// None yet.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// A rung has fallen. Rungs fall from the best to the worst.
    pub fn add(&mut self, mode: GateMode) {
        self.rose(mode);
        self.0.push(Rung {
            mode,
            pause: 1,
            wait: 1,
        });
    }

    /// Which rung is to be tried in this turn.
    pub fn due(&mut self) -> Option<GateMode> {
        let mut due = None;
        for rung in &mut self.0 {
            if rung.wait > 0 {
                rung.wait -= 1;
            } else if due.is_none() {
                due = Some(rung.mode);
            }
        }
        due
    }

    /// It does not hold yet.
    pub fn fell_again(&mut self, mode: GateMode) {
        for rung in self.0.iter_mut().filter(|rung| rung.mode == mode) {
            rung.wait = rung.pause;
            rung.pause = (rung.pause * 2).min(RARELY);
        }
    }

    /// It holds: it is forgotten, and so is what is worse.
    pub fn rose(&mut self, mode: GateMode) {
        if let Some(at) = self.0.iter().position(|rung| rung.mode == mode) {
            self.0.truncate(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The turns of a hundred in which something is tried that never holds.
    #[test]
    fn what_does_not_hold_is_tried_more_and_more_rarely() {
        let mut fallen = Fallen::none();
        fallen.add(GateMode::Lsm);
        let tries = (0..100).filter(|_| {
            let due = fallen.due();
            due.iter().for_each(|mode| fallen.fell_again(*mode));
            due.is_some()
        });
        let tries: Vec<_> = tries.collect();
        assert_eq!(tries, [1, 3, 6, 11, 20, 37, 54, 71, 88]);
    }

    #[test]
    fn the_best_is_tried_first_and_forgets_the_worse() {
        let mut fallen = Fallen::none();
        fallen.add(GateMode::Lsm);
        fallen.add(GateMode::Deny);
        assert_eq!(fallen.due(), None);
        assert_eq!(fallen.due(), Some(GateMode::Lsm));
        fallen.fell_again(GateMode::Lsm);
        assert_eq!(fallen.due(), Some(GateMode::Deny));
        fallen.rose(GateMode::Lsm);
        assert_eq!(fallen.due(), None);
    }
}
