//! The canary's word, and what follows from it for all targets.

use super::{Gate, Guard};
use crate::agent::proving::{Proving, Turn};
use crate::config::{Config, DenyErrno, Mode, Rung};
use crate::kernel::canary::Canary;
use crate::kernel::enforce::{Proof, Wanted};
use crate::policy::gate::mode_for;
use crate::state::target;
use guard_common::GateMode;

/// What the targets may use.
pub(super) fn wanted(config: &Config) -> Wanted {
    let gates = || config.targets.iter().map(|target| &target.gate);
    let denied = gates().filter(|gate| gate.modes.contains(&Rung::Deny));
    Wanted {
        lsm: gates().any(|gate| gate.modes.contains(&Rung::Lsm)),
        fmod_ret: gates().any(|gate| gate.modes.contains(&Rung::FmodRet)),
        deny: denied
            .map(|gate| gate.deny_errno)
            .max_by_key(|errno| *errno == DenyErrno::Any),
    }
}

impl Guard {
    /// When the canary has its turns.
    #[must_use]
    pub fn proving(&self) -> Proving {
        match self.config.mode {
            Mode::Enforce => Proving::every(self.config.canary_every),
            Mode::Observe => Proving::never(),
        }
    }

    /// Takes a turn of the canary.
    pub fn turn(&mut self, turn: Turn, proving: &mut Proving) {
        let proof = match turn {
            Turn::Due => {
                let stand = |refusal| self.rounds.deny(refusal);
                let mode = self.ladder.turn(&mut self.kernel, stand);
                match Canary::begin(&mut self.kernel, mode, &self.v2_mount) {
                    Ok(canary) => return proving.out(canary, self.canary_asks()),
                    Err(error) => {
                        self.ladder.give_up_trying(&mut self.kernel);
                        self.untried(&error.to_string())
                    }
                }
            }
            Turn::Heard(stage, seen) => {
                stage.end(&mut self.kernel);
                self.ladder.heard(&seen, &mut self.kernel)
            }
            Turn::Lost => {
                self.ladder.give_up_trying(&mut self.kernel);
                self.untried("its thread ended")
            }
        };
        match proof {
            Proof::Again => {
                tracing::warn!("the canary was not refused as it was before; it tries once more");
                proving.again();
            }
            Proof::Next => {
                self.take_up_deny();
                proving.again();
            }
            Proof::NotYet => {
                if self.ladder.rung() != GateMode::Deny {
                    self.take_up_deny();
                }
                proving.again();
            }
            Proof::Stays { proved, why } => {
                proving.later();
                if proved {
                    self.kernel.forget_types();
                    self.kernel.replace_earlier();
                }
                self.proved(self.ladder.rung(), proved, why);
                if self.ladder.settle(&mut self.kernel) == Some(GateMode::Deny) {
                    self.take_up_deny();
                }
            }
        }
    }

    fn untried(&self, why: &str) -> Proof {
        Proof::Stays {
            proved: false,
            why: format!("the canary could not be tried: {why}"),
        }
    }

    fn proved(&mut self, mode: GateMode, proved: bool, why: String) {
        if self.gate.known && self.gate.mode != mode {
            self.tell_of_change(mode, &why);
        }
        let is_news = !self.gate.known || (self.gate.mode, self.gate.proved) != (mode, proved);
        self.gate = Gate {
            mode,
            proved,
            errno: self.ladder.errno(),
            why,
            known: true,
        };
        if is_news {
            self.tell_gate();
            self.warn_of_the_unheld();
            self.tell_rounds();
        }
    }

    /// The gate works in another way than until now: an alarm, where that is a worse one.
    fn tell_of_change(&self, mode: GateMode, why: &str) {
        let (event, from, to) = ("gate_changed", self.gate.mode.name(), mode.name());
        if is_worse(mode, self.gate.mode) {
            tracing::error!(
                event,
                from,
                to,
                why,
                "the gate does not hold by {from} any more, and holds by {to} now: {why}"
            );
        } else {
            tracing::warn!(
                event,
                from,
                to,
                "the gate holds by {to} again, not by {from}"
            );
        }
    }

    /// Tells all targets how the gate refuses.
    pub(super) fn tell_gate(&mut self) {
        let all: Vec<_> = self.places.iter().map(|(id, _)| id).collect();
        for id in all {
            self.tell_gate_to(id);
        }
    }

    /// Targets whose `modes` leave out the one that works are only observed.
    fn warn_of_the_unheld(&self) {
        let proof = target::Proof {
            mode: self.gate.mode,
            proved: self.gate.proved,
            errno: self.gate.errno,
        };
        for (_, place) in self.places.iter() {
            if mode_for(&proof, &place.config, self.config.mode) == GateMode::Observe {
                tracing::warn!(
                    target = place.config.name,
                    mode = self.gate.mode.name(),
                    "{} is not held at its limits: here the gate works by {}, which its \
                     target.gate.modes leave out; add it, or boot with bpf in lsm=",
                    place.config.name,
                    self.gate.mode.name()
                );
            }
        }
    }
}

/// Whether a mode is further down the ladder than another.
fn is_worse(mode: GateMode, than: GateMode) -> bool {
    let rung = |mode| match mode {
        GateMode::Lsm => 0,
        GateMode::FmodRet => 1,
        GateMode::Deny => 2,
        GateMode::Kill => 3,
        GateMode::Observe => 4,
    };
    rung(mode) > rung(than)
}
