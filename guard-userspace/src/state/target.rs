//! One target's state.

use super::attempt::Attempt;
use super::counts::{Counts, Stretch};
use super::rate::Rate;
use super::storm::Storm;
use crate::model::input::{Limit, SpawnErrno};
use crate::model::{CgroupId, Input, InputKind, Level, OutcomeKind, Verdict};
use guard_common::{GateLimits, GateMode};
use std::collections::BTreeMap;

/// All that is known of one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetState {
    pub(super) cgroup: Option<Cgroup>,
    pub(super) counts: Counts,
    pub(super) committed: u64,
    pub(super) rate: Rate,
    pub(super) storm: Storm,
    pub(super) memory: Option<Memory>,
    pub(super) proof: Option<Proof>,
    pub(super) in_force: Option<GateLimits>,
    pub(super) attempt: Attempt,
    pub(super) level: Level,
    pub(super) level_why: String,
    pub(super) reached_ns: [Option<u64>; Level::ALL.len()],
    pub(super) lost: BTreeMap<&'static str, u64>,
}

/// Where the target lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its id.
    pub id: CgroupId,
    /// Path below the v2 mount.
    pub path: String,
    /// Processes that were in it when it was armed.
    pub adopted: u64,
    /// Armed before its first process.
    pub from_birth: bool,
}

/// Memory as last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes charged.
    pub bytes: u64,
    /// The limit in bytes; `None`: no limit.
    pub limit: Option<u64>,
}

/// What the canary has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The mode in force.
    pub mode: GateMode,
    /// Whether it was seen to refuse.
    pub proved: bool,
    /// What a refused spawn says; `None`: its process dies.
    pub errno: Option<SpawnErrno>,
}

/// What an input brought that is worth a line of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// A line of counts is due.
    pub stretch: Option<Stretch>,
    /// A storm began.
    pub storm_began: bool,
    /// More was lost than was known: where, and how much in all.
    pub lost: Option<(&'static str, u64)>,
    /// The mode, or whether it is proved, is another than before.
    pub proof_changed: bool,
}

impl TargetState {
    /// Takes what happened.
    pub fn apply(&mut self, input: &Input) -> Applied {
        let mut applied = Applied::default();
        let at = input.at;
        match &input.kind {
            InputKind::Rate {
                second,
                committed,
                counters,
            } => {
                let before = self.counts.seen().spawns;
                if *second >= self.counts.sampled_second() {
                    self.committed = *committed;
                }
                applied.stretch = self.counts.sample(*second, counters);
                self.rate
                    .sample(*second, counters.spawns.saturating_sub(before));
                applied.lost = self.lose("ring", counters.lost);
            }
            InputKind::Breach {
                limit, committed, ..
            } => {
                self.committed = *committed;
                applied.storm_began = self.storm.refused(at.boot_ns, *limit == Limit::Processes);
            }
            InputKind::Memory { bytes, limit } => {
                self.memory = Some(Memory {
                    bytes: *bytes,
                    limit: *limit,
                });
            }
            InputKind::Gate {
                mode,
                proved,
                errno,
                ..
            } => {
                let proof = Some(Proof {
                    mode: *mode,
                    proved: *proved,
                    errno: *errno,
                });
                applied.proof_changed = self.proof != proof;
                self.proof = proof;
            }
            InputKind::Up {
                cgroup,
                path,
                adopted,
                from_birth,
            } => {
                self.counts.begin(at.second());
                self.cgroup = Some(Cgroup {
                    id: *cgroup,
                    path: path.clone(),
                    adopted: *adopted,
                    from_birth: *from_birth,
                });
            }
            InputKind::Down { .. } => self.go_down(),
            InputKind::Lost { source, total } => applied.lost = self.lose(source, *total),
            InputKind::Outcome(outcome) => {
                if outcome.kind == OutcomeKind::Done && outcome.limits.is_some() {
                    self.in_force = outcome.limits;
                }
                self.attempt.end(outcome, at.boot_ns);
            }
            InputKind::Tick => {
                if self.cgroup.is_some() {
                    applied.stretch = self.counts.idle(at.second());
                }
            }
            // Lineage is for trees and victims, which come later.
            InputKind::Spawned { .. } | InputKind::Execed { .. } | InputKind::Exited { .. } => {}
        }
        applied
    }

    /// Takes what the policy made of it.
    pub fn commit(&mut self, verdict: &Verdict) {
        for (level, reached) in Level::ALL.into_iter().zip(&mut self.reached_ns) {
            if level <= verdict.measured {
                *reached = Some(verdict.at.boot_ns);
            }
        }
        self.level = verdict.level;
        if let Some(why) = &verdict.why {
            self.level_why.clone_from(why);
        }
        if let Some(decision) = verdict.decisions.first() {
            self.attempt = Attempt::Pending(decision.action.clone());
        }
    }

    /// Nothing lives in a cgroup that is gone; its totals stay.
    fn go_down(&mut self) {
        self.cgroup = None;
        self.memory = None;
        self.committed = 0;
        self.counts.clear_gauges();
    }

    fn lose(&mut self, source: &'static str, total: u64) -> Option<(&'static str, u64)> {
        let known = self.lost.entry(source).or_default();
        let grew = total > *known;
        *known = total.max(*known);
        grew.then_some((source, total))
    }
}
