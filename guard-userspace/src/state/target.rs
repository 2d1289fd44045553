//! One target's state.

use super::attempt::Attempt;
use super::counts::{Counts, Stretch};
use super::deeds::Deeds;
use super::ends::Ends;
use super::good;
use super::kin::Kin;
use super::leaks::Leaks;
use super::rate::Rate;
use super::storm::Storm;
use super::trees::Trees;
use super::trend::Trend;
use super::watched::Watched;
use crate::config::TargetConfig;
use crate::model::input::{Inherited, Limit, SpawnErrno};
use crate::model::kin::Survey;
use crate::model::{
    Action, CgroupId, Decision, Health, Input, InputKind, Level, OutcomeKind, Stamp, Verdict,
};
use guard_common::{GateLimits, GateMode};
use std::collections::BTreeMap;

/// The name of the action whose answer is an input of its own ([`Action::Look`]).
const LOOK: &str = "look";

/// The name of the one action that is tried again ([`Action::Gate`]).
const GATE: &str = "gate";

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
    pub(super) kin: Kin,
    pub(super) trees: Trees,
    pub(super) ends: Ends,
    pub(super) survey: Option<Survey>,
    pub(super) excess: u64,
    pub(super) start: Option<Start>,
    pub(super) auto_cap: Option<u64>,
    pub(super) gateways_full: bool,
    pub(super) watched: Watched,
    pub(super) deeds: Deeds,
    pub(super) health: Health,
    /// `full avg10` of the host's memory pressure, in hundredths of a percent.
    pub(super) host_full_avg10: u64,
    /// Since when there is pressure, ns of CLOCK_BOOTTIME.
    pub(super) pressed_ns: Option<u64>,
    /// By level: since when the figures have asked for it or worse without a break.
    pub(super) measured_ns: [Option<u64>; Level::ALL.len()],
    pub(super) tight: Option<u64>,
    /// A tree was ended, and this was not looked at since: its trees, its memory.
    pub(super) unseen: (bool, bool),
    pub(super) trend: Trend,
    pub(super) leaks: Leaks,
    /// When it was said that the cap is too small, ns of CLOCK_BOOTTIME.
    pub(super) cap_told_ns: Option<u64>,
    /// What this start came to was looked at.
    pub(super) start_judged: bool,
    pub(super) good_start: Option<good::Start>,
}

/// A container's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// When, ns of CLOCK_BOOTTIME.
    pub since_ns: u64,
    /// When the last family appeared that was not there before, ns of CLOCK_BOOTTIME.
    pub family_ns: u64,
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
    /// Of the bytes, what the kernel gives back by itself: pages of files that nobody used lately.
    pub reclaimable: u64,
}

impl Memory {
    /// Bytes that would not be given back by themselves.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.bytes.saturating_sub(self.reclaimable)
    }
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
    /// Nothing is known yet of a target that is to be as `config` says.
    #[must_use]
    pub fn of(config: &TargetConfig) -> Self {
        let settle = config.gate.tree.settle.as_nanos();
        let levels = config.processes.as_ref();
        Self {
            leaks: levels.map_or_else(Leaks::default, |levels| Leaks::over(levels.leak_over)),
            trees: Trees::settling_after(u64::try_from(settle).unwrap_or(u64::MAX)),
            ..Self::default()
        }
    }

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
            InputKind::Memory {
                bytes,
                limit,
                reclaimable,
            } => {
                self.unseen.1 = false;
                self.memory = Some(Memory {
                    bytes: *bytes,
                    limit: *limit,
                    reclaimable: *reclaimable,
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
                inherited,
                from_birth,
                started_ns,
            } => {
                self.auto_cap = None;
                self.start_judged = false;
                self.start = (*started_ns != 0).then_some(Start {
                    since_ns: *started_ns,
                    family_ns: *started_ns,
                });
                self.counts.begin(at.second());
                self.deeds.is_up(at.boot_ns);
                if let Some(inherited) = inherited {
                    self.inherit(inherited);
                }
                self.cgroup = Some(Cgroup {
                    id: *cgroup,
                    path: path.clone(),
                    adopted: *adopted,
                    from_birth: *from_birth,
                });
            }
            InputKind::Down { .. } => self.go_down(),
            InputKind::HalfDone => self.deeds.half_done(),
            InputKind::Lost { source, total } => applied.lost = self.lose(source, *total),
            InputKind::Operator(order) => self.ends.ordered(order.clone()),
            InputKind::Outcome(outcome) => {
                self.ends.ended(outcome, at.boot_ns);
                self.deeds.ended(outcome, at.boot_ns);
                let tree = outcome.ended.as_ref();
                if let Some(ended) = tree.filter(|ended| ended.ending.order == 0) {
                    if outcome.kind == OutcomeKind::Done {
                        self.leaks.ended(&ended.ending.family);
                    }
                    self.unseen = (true, self.memory.is_some());
                }
                if outcome.action == LOOK && outcome.kind != OutcomeKind::Done {
                    self.watched.unanswered(at.boot_ns);
                }
                if outcome.kind == OutcomeKind::Done && outcome.limits.is_some() {
                    self.in_force = outcome.limits;
                }
                if let Some(placed) = outcome.place {
                    self.kin.moved(placed);
                }
                if outcome.action == GATE {
                    self.attempt.end(outcome, at.boot_ns);
                }
            }
            InputKind::Tick => {
                if self.cgroup.is_some() {
                    applied.stretch = self.counts.idle(at.second());
                    self.leaks.see(at.second(), &self.trees, &self.kin);
                }
            }
            InputKind::Spawned {
                process,
                parent,
                place,
                birth,
                ..
            } => {
                self.kin.born(*process, *parent, *place, *birth, at.boot_ns);
            }
            InputKind::Execed { process, argv } => self.kin.execed(*process, argv, at.boot_ns),
            InputKind::Exited { process, .. } => self.kin.ended(*process),
            InputKind::Surveyed(survey) => {
                self.kin.surveyed(survey, at.boot_ns);
                self.trees.see(&survey.trees, &self.kin, at.boot_ns);
                self.unseen.0 = false;
                self.survey = Some(survey.clone());
            }
            InputKind::Trees { seen, committed } => {
                self.trees.see(seen, &self.kin, at.boot_ns);
                self.unseen.0 = false;
                self.committed = *committed;
            }
            InputKind::Evidence(evidence) => self.watched.see(evidence, at.boot_ns),
            InputKind::Pressure { full_avg10 } => self.host_full_avg10 = *full_avg10,
            InputKind::Health(health) => self.health = *health,
        }
        applied
    }

    /// The rails have allowed this.
    pub fn begun(&mut self, decision: &Decision, at: Stamp) {
        let cgroup = self.cgroup.as_ref().map(|cgroup| cgroup.id);
        self.deeds.begun(decision, cgroup, at.boot_ns);
        if decision.action == Action::Look {
            self.watched.asked(at.boot_ns);
        }
    }

    /// Takes what the policy made of it.
    pub fn commit(&mut self, verdict: &Verdict) {
        for (level, reached) in Level::ALL.into_iter().zip(&mut self.reached_ns) {
            if level <= verdict.measured {
                *reached = Some(verdict.at.boot_ns);
            }
        }
        for (level, since) in Level::ALL.into_iter().zip(&mut self.measured_ns) {
            let holds = level <= verdict.measured;
            *since = holds.then(|| since.unwrap_or(verdict.at.boot_ns));
        }
        self.level = verdict.level;
        self.said(verdict);
        self.tight = verdict.tight;
        if let Some(why) = &verdict.why {
            self.level_why.clone_from(why);
        }
        let mut actions = verdict.decisions.iter().map(|decision| &decision.action);
        if let Some(action) = actions.find(|action| matches!(action, Action::Gate(_))) {
            self.attempt = Attempt::Pending(action.clone());
        }
        self.excess = verdict.excess;
        self.survey = None;
        self.trees.judged();
        self.ends.decided(&verdict.decisions);
        self.watched.decided(&verdict.decisions, verdict.at.boot_ns);
        self.auto_cap = verdict.auto_cap;
        self.pressed_ns = verdict.pressed_ns;
        self.gateways_full |= verdict.beyond_gateways.is_some();
        for (pid, family) in &verdict.judged {
            let family = family.as_deref();
            let is_new = |family: &str| !self.kin.has_family(family);
            if family.is_some_and(is_new)
                && let Some(start) = &mut self.start
            {
                start.family_ns = verdict.at.boot_ns;
            }
            self.kin.judged(*pid, family);
        }
    }

    /// What was counted without an agent is not told as if it had happened now, and a cap that was fixed
    /// is not fixed anew.
    fn inherit(&mut self, inherited: &Inherited) {
        let Inherited {
            counters,
            auto_cap,
            held,
        } = inherited;
        self.counts.resume(counters);
        self.lost.insert("ring", counters.lost);
        self.auto_cap = auto_cap.filter(|_| *held);
    }

    /// Nothing lives in a cgroup that is gone; its totals stay.
    fn go_down(&mut self) {
        self.cgroup = None;
        self.memory = None;
        self.committed = 0;
        self.excess = 0;
        self.start = None;
        self.auto_cap = None;
        self.kin.clear();
        self.trees.clear();
        self.ends.clear();
        self.watched.clear();
        self.deeds.clear();
        self.storm = Storm::default();
        self.tight = None;
        self.unseen = (false, false);
        self.trend.clear();
        self.leaks.clear();
        self.health = Health::Unknown;
        self.pressed_ns = None;
        self.counts.clear_gauges();
    }

    fn lose(&mut self, source: &'static str, total: u64) -> Option<(&'static str, u64)> {
        let known = self.lost.entry(source).or_default();
        let grew = total > *known;
        *known = total.max(*known);
        grew.then_some((source, total))
    }
}
