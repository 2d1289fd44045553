//! One step: an input goes in, permits and facts come out. Agent, replay and simulation share it.

mod seen;

use crate::config::{Mode, TargetConfig};
use crate::incident::Incidents;
use crate::model::deed::Left;
use crate::model::{Action, Decision, Fact, FactKind, Input, InputKind, Level};
use crate::model::{Did, Ended, Outcome, OutcomeKind, TargetId, Verdict, limits_in_words};
use crate::policy;
use crate::rails::{self, Permit};
use crate::state::{Applied, TargetState};
use std::collections::BTreeMap;

/// All targets, and what is known of them.
#[derive(Debug)]
pub struct Engine {
    mode: Mode,
    targets: BTreeMap<TargetId, Target>,
}

/// One target: what is wanted and what is known.
#[derive(Debug)]
pub struct Target {
    /// What the operator wants.
    pub config: TargetConfig,
    /// What is known.
    pub state: TargetState,
    /// Its incident, where there is one.
    pub incidents: Incidents,
}

impl Engine {
    /// An engine without targets.
    #[must_use]
    pub const fn new(mode: Mode) -> Self {
        Self {
            mode,
            targets: BTreeMap::new(),
        }
    }

    /// Follows a target from now on. One of the same id is forgotten.
    pub fn watch(&mut self, id: TargetId, config: TargetConfig) {
        let state = TargetState::of(&config);
        let incidents = Incidents::default();
        let target = Target {
            config,
            state,
            incidents,
        };
        self.targets.insert(id, target);
    }

    /// Forgets a target.
    pub fn forget(&mut self, id: TargetId) {
        self.targets.remove(&id);
    }

    /// A target.
    #[must_use]
    pub fn target(&self, id: TargetId) -> Option<&Target> {
        self.targets.get(&id)
    }

    /// All targets, by id.
    pub fn targets(&self) -> impl Iterator<Item = (TargetId, &Target)> {
        self.targets.iter().map(|(id, target)| (*id, target))
    }

    /// Takes one input: what may be done now, and what is to be said. An input of an unknown target
    /// changes nothing.
    pub fn step(&mut self, input: &Input) -> (Vec<Permit>, Vec<Fact>) {
        let Some(Target {
            config,
            state,
            incidents,
        }) = self.targets.get_mut(&input.target)
        else {
            return (Vec::new(), Vec::new());
        };
        let level = state.level();
        let applied = state.apply(input);
        let verdict = policy::decide(input.target, state, config, self.mode, input.at);
        let full = state.gateways_full();
        state.commit(&verdict);

        let mut said = News {
            about: input,
            facts: Vec::new(),
        };
        said.lost(&applied);
        said.event(state, &applied);
        said.level(level, &verdict);
        said.gateways(full, &verdict);
        let more = verdict.said.iter().cloned();
        let escalation = incidents.open().map_or(0, |open| open.escalation);
        let seen = seen::seen(state, config, &verdict, input.at, escalation);
        let incident = incidents.see(&seen);
        more.chain(incident).for_each(|kind| said.say(kind));
        let permits = allow(verdict.decisions, self.mode, state, config, &mut said);
        (permits, said.facts)
    }
}

/// Asks the rails; a refusal is an outcome like any other.
fn allow(
    decisions: Vec<Decision>,
    mode: Mode,
    state: &mut TargetState,
    config: &TargetConfig,
    said: &mut News<'_>,
) -> Vec<Permit> {
    let at = said.about.at;
    let mut permits = Vec::new();
    for decision in decisions {
        let (tier, reason) = (decision.tier.name(), decision.reason.name());
        let (target, action) = (decision.target, decision.action.name());
        let (quiet, what) = (decision.action.is_bookkeeping(), decision.action.in_words());
        let (ending, doing) = match &decision.action {
            Action::End(ending) => (Some(ending.clone()), None),
            Action::Do(doing) => (None, Some(doing.clone())),
            _ => (None, None),
        };
        let mut dry_run = false;
        let refused = match rails::check(decision, mode, state, config, at) {
            Ok(permit) => {
                state.begun(permit.decision(), at);
                permits.push(permit);
                None
            }
            Err(refusal) => {
                dry_run = refusal.dry_run;
                let kind = OutcomeKind::Refused(refusal.why.clone());
                let mut outcome = Outcome::of(action, kind);
                outcome.ended = ending.clone().map(|ending| {
                    Box::new(Ended {
                        ending,
                        processes: 0,
                        killed: false,
                    })
                });
                outcome.did = doing.clone().map(|doing| {
                    Box::new(Did {
                        doing,
                        steps: Vec::new(),
                        left: Left::default(),
                    })
                });
                let kind = InputKind::Outcome(outcome);
                state.apply(&Input { at, target, kind });
                Some(refusal.why)
            }
        };
        said.say(FactKind::Decision {
            tier,
            action,
            reason,
            what,
            quiet,
            refused,
            dry_run,
            ending,
            doing,
        });
    }
    permits
}

/// The facts of one step.
struct News<'a> {
    about: &'a Input,
    facts: Vec<Fact>,
}

impl News<'_> {
    fn say(&mut self, kind: FactKind) {
        self.facts.push(Fact {
            at: self.about.at,
            target: self.about.target,
            kind,
        });
    }

    fn lost(&mut self, applied: &Applied) {
        if let Some((source, total)) = applied.lost {
            self.say(FactKind::LostEvents { source, total });
        }
    }

    fn level(&mut self, from: Level, verdict: &Verdict) {
        if let Some(why) = &verdict.why {
            self.say(FactKind::Level {
                from,
                to: verdict.level,
                why: why.clone(),
            });
        }
    }

    /// Once for each target: a pattern that means too much means it again and again.
    fn gateways(&mut self, said: bool, verdict: &Verdict) {
        if let (false, Some(program)) = (said, verdict.beyond_gateways.clone()) {
            self.say(FactKind::GatewaysFull {
                most: policy::role::MAX_GATEWAYS,
                program,
            });
        }
    }

    /// What the input itself says.
    fn event(&mut self, state: &TargetState, applied: &Applied) {
        if let Some(stretch) = &applied.stretch {
            self.say(FactKind::SpawnRate {
                counts: stretch.counts,
                excess: state.excess(),
                level: state.level(),
                mode: state.mode(),
                cgroup: state.cgroup().map(|cgroup| cgroup.id),
                seconds: stretch.seconds,
            });
        }
        match self.about.kind.clone() {
            InputKind::Breach {
                limit,
                verdict,
                pid,
                comm,
                committed,
                max_processes,
            } => {
                let first = applied.storm_began;
                self.say(FactKind::Breach {
                    limit,
                    verdict,
                    pid,
                    comm,
                    committed,
                    max_processes,
                    reserve: state.in_force().map_or(0, |limits| limits.reserve),
                    tree_processes: state.in_force().map_or(1, |limits| limits.tree_processes),
                    holders: if first {
                        state.holders()
                    } else {
                        String::new()
                    },
                    first,
                });
            }
            InputKind::Gate {
                mode,
                proved,
                errno,
                why,
            } if applied.proof_changed => {
                self.say(FactKind::GateMode {
                    mode,
                    proved,
                    errno,
                    why,
                });
            }
            InputKind::Up {
                cgroup,
                path,
                adopted,
                inherited,
                from_birth,
                ..
            } => {
                let mode = state.in_force().map(|_| state.mode());
                let proof = state.proof().filter(|proof| Some(proof.mode) == mode);
                self.say(FactKind::Armed {
                    cgroup,
                    path,
                    adopted,
                    inherited: inherited.is_some_and(|inherited| inherited.held),
                    from_birth,
                    mode,
                    errno: proof.and_then(|proof| proof.errno),
                });
            }
            InputKind::Down { why } => self.say(FactKind::Disarmed { why }),
            InputKind::Outcome(outcome) => {
                let done = outcome.kind == OutcomeKind::Done;
                let tree = outcome.ended.as_deref().filter(|_| done);
                if let Some(ended) = tree.filter(|ended| !ended.killed) {
                    let (ending, processes) = (ended.ending.clone(), ended.processes);
                    self.say(FactKind::Retired { ending, processes });
                }
                self.say(ended(outcome));
            }
            _ => {}
        }
    }
}

/// How an action ended, in words.
fn ended(outcome: Outcome) -> FactKind {
    let done = outcome.kind == OutcomeKind::Done;
    let words = match (outcome.kind, outcome.limits) {
        (OutcomeKind::Done, Some(limits)) => format!("in force: {}", limits_in_words(&limits)),
        (OutcomeKind::Done, None) => match (&outcome.ended, &outcome.did) {
            (Some(ended), _) => format!("{} has ended, {} in all", ended.ending, ended.processes),
            (None, Some(did)) => format!("done: {}", did.doing.deed),
            (None, None) => "done".to_owned(),
        },
        (OutcomeKind::Failed(why) | OutcomeKind::Refused(why), _) => why,
    };
    FactKind::Action {
        action: outcome.action,
        quiet: outcome.limits.is_none() && outcome.ended.is_none() && outcome.did.is_none(),
        outcome: words,
        done,
        ending: outcome.ended.map(|ended| ended.ending),
        did: outcome.did,
    }
}

#[cfg(test)]
mod tests;
