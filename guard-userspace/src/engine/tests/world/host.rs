//! The host of the model: carries out what is permitted, late and not always.

use super::*;
use crate::model::evidence::TreeEvidence;

impl World {
    /// What is due by now.
    pub(super) fn happen(&mut self) {
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|(at, _)| *at <= self.now_ns);
        self.due = later;
        for (_, due) in now {
            let fails = self.fails_once_in > 0 && self.dice.once_in(self.fails_once_in);
            let kind = if fails {
                OutcomeKind::Failed("by chance".to_owned())
            } else {
                OutcomeKind::Done
            };
            match due {
                Due::Look if fails => self.feed(InputKind::Outcome(Outcome::of("look", kind))),
                Due::Look => self.look(),
                Due::Ended(ending) => {
                    let was_there = self.servers.get(&ending.tree).cloned();
                    if kind == OutcomeKind::Done {
                        self.close(ending.tree);
                    }
                    let mut outcome = Outcome::of(ending.how.name(), kind);
                    outcome.ended = Some(Box::new(Ended {
                        processes: ending.processes,
                        killed: was_there.is_some_and(|one| one.deaf),
                        ending,
                    }));
                    self.feed(InputKind::Outcome(outcome));
                }
                Due::Did(doing) => {
                    let starts = doing.deed.restarts() || doing.deed == Deed::Resume;
                    let mut left = Left::default();
                    if starts && !self.leaves.is_empty() {
                        left = self.leaves.remove(0);
                    }
                    let whole = left == Left::default();
                    if starts && !(fails && whole) && self.is_up {
                        self.servers.clear();
                        self.is_up = false;
                        let why = "it was stopped".to_owned();
                        self.feed(InputKind::Down { why });
                    }
                    if starts && !fails && whole {
                        self.due.push((self.now_ns + 2 * SECOND_NS, Due::Up));
                    }
                    let kind = if whole {
                        kind
                    } else {
                        OutcomeKind::Failed("left".to_owned())
                    };
                    let mut outcome = Outcome::of(doing.deed.name(), kind);
                    let steps = Vec::new();
                    outcome.did = Some(Box::new(Did { doing, steps, left }));
                    self.feed(InputKind::Outcome(outcome));
                }
                Due::Up => self.start(),
            }
        }
    }

    fn look(&mut self) {
        let mb = self.mb_per_process;
        let trees = self.servers.iter().map(|(id, one)| TreeEvidence {
            tree: *id,
            leaf_cpu_ns: one.cpu_ns,
            memory_bytes: one.used * mb * 1_000_000,
            writer: one.writer,
            orphan: one.orphan,
        });
        let evidence = Evidence {
            trees: trees.collect(),
            zombies: self.zombies.clone(),
        };
        self.feed(InputKind::Evidence(evidence));
    }

    pub(super) fn carry_out(&mut self, action: &Action) -> Option<Outcome> {
        let mut outcome = Outcome::of(action.name(), OutcomeKind::Done);
        let mut later = |ms: u64, due| self.due.push((self.now_ns + ms * 1_000_000, due));
        match action {
            Action::Gate(limits) => {
                self.limits = Some(*limits);
                outcome.limits = Some(*limits);
            }
            Action::Role { process, role, .. } => {
                outcome.place = Some(Placed {
                    process: *process,
                    place: Place::new(*role, 0),
                    is_root: false,
                });
            }
            Action::Settle { tree, .. } => {
                if let Some(server) = self.servers.get_mut(tree) {
                    server.reserved = server.reserved.min(server.used + 1);
                }
            }
            Action::Look => {
                later(20, Due::Look);
                return None;
            }
            Action::End(ending) => {
                let longest = if ending.how == How::Force {
                    1_200
                } else {
                    6_000
                };
                let takes = self.dice.within(10, longest);
                self.due
                    .push((self.now_ns + takes * 1_000_000, Due::Ended(ending.clone())));
                return None;
            }
            Action::Do(doing) => {
                let takes = self.dice.within(50, 10_000);
                self.due
                    .push((self.now_ns + takes * 1_000_000, Due::Did(doing.clone())));
                return None;
            }
            _ => {}
        }
        Some(outcome)
    }
}
