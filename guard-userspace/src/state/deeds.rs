//! What is being done to the target as a whole, and what was done lately.

use crate::model::deed::Left;
use crate::model::{Action, CgroupId, Decision, Deed, Did, Doing, Outcome, OutcomeKind};
use std::collections::{BTreeMap, VecDeque};

/// How long a restart counts against the budget, in ns.
pub const HOUR_NS: u64 = 3_600_000_000_000;

/// How long a signal counts against the budget, in ns.
pub const MINUTE_NS: u64 = 60_000_000_000;

/// Most of each that is remembered: no budget is larger.
const REMEMBERED: usize = 1 << 16;

/// Of one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deeds {
    pending: Option<Doing>,
    frozen: bool,
    isolated: bool,
    /// When restarts (recreations too) were begun of the agent's own accord, oldest first.
    restarts: VecDeque<u64>,
    /// When processes were signalled of the agent's own accord, and how many, oldest first.
    signalled: VecDeque<(u64, u64)>,
    restarted: u64,
    /// What was tried last in vain, by the deed's name.
    failed: BTreeMap<&'static str, Failed>,
    /// The deed of the agent's own accord that makes processes end, begun last.
    last_restart: Option<Deed>,
    /// The cgroup whose container got its limits, or was to.
    limited: Option<CgroupId>,
    half: bool,
    /// What left it stopped of the agent's own accord, and when.
    down: Option<(Deed, u64)>,
}

/// A deed that did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// Which.
    pub deed: Deed,
    /// When, ns of CLOCK_BOOTTIME.
    pub at_ns: u64,
    /// Why.
    pub why: String,
    /// How often in a row.
    pub times: u32,
    /// It was not tried, since the rails refused it.
    pub refused: bool,
}

impl Deeds {
    /// What is under way.
    #[must_use]
    pub const fn pending(&self) -> Option<&Doing> {
        self.pending.as_ref()
    }

    /// All of it is stopped.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// It is cut off from its networks.
    #[must_use]
    pub const fn is_isolated(&self) -> bool {
        self.isolated
    }

    /// What was tried in vain, or refused, of the agent's own accord and has not been done since.
    pub fn failed(&self) -> impl Iterator<Item = &Failed> {
        self.failed.values()
    }

    /// Restarts and recreations that were done, by whomever.
    #[must_use]
    pub const fn restarted(&self) -> u64 {
        self.restarted
    }

    /// Restarts of the agent's own accord in the hour before `now_ns`.
    #[must_use]
    pub fn restarts_within_hour(&self, now_ns: u64) -> u64 {
        let since = |at: &&u64| now_ns < at.saturating_add(HOUR_NS);
        u64::try_from(self.restarts.iter().filter(since).count()).unwrap_or(u64::MAX)
    }

    /// When the last restart of the agent's own accord was begun, ns of CLOCK_BOOTTIME.
    #[must_use]
    pub fn last_restart_ns(&self) -> Option<u64> {
        self.restarts.back().copied()
    }

    /// The restart or recreation of the agent's own accord that was begun last.
    #[must_use]
    pub const fn last_restart(&self) -> Option<&Deed> {
        self.last_restart.as_ref()
    }

    /// Something that was begun is to be brought to an end.
    #[must_use]
    pub const fn is_half(&self) -> bool {
        self.half
    }

    /// Something is left half done.
    pub const fn half_done(&mut self) {
        self.half = true;
    }

    /// What stopped it of the agent's own accord, and could not start it; it has not started since.
    #[must_use]
    pub fn left_down(&self) -> Option<&Deed> {
        self.down.as_ref().map(|(deed, _)| deed)
    }

    /// It has started. What was tried before that says nothing of it any more.
    pub fn is_up(&mut self, at_ns: u64) {
        if self.down.as_ref().is_some_and(|(_, since)| at_ns > *since) {
            self.down = None;
        }
    }

    /// The cgroup whose container got its limits, or was to.
    #[must_use]
    pub const fn limited(&self) -> Option<CgroupId> {
        self.limited
    }

    /// When the agent first signalled of its own accord after `since_ns`.
    #[must_use]
    pub fn first_signalled(&self, since_ns: u64) -> Option<u64> {
        let mut all = self.signalled.iter().map(|(at, _)| *at);
        all.find(|at| *at >= since_ns)
    }

    /// Processes signalled of the agent's own accord in the minute before `now_ns`.
    #[must_use]
    pub fn signalled_within_minute(&self, now_ns: u64) -> u64 {
        let since = |(at, _): &&(u64, u64)| now_ns < at.saturating_add(MINUTE_NS);
        self.signalled.iter().filter(since).map(|(_, n)| n).sum()
    }

    /// This was allowed, and begins.
    pub fn begun(&mut self, decision: &Decision, cgroup: Option<CgroupId>, at_ns: u64) {
        match &decision.action {
            Action::Do(doing) => {
                if doing.order == 0 && doing.deed.restarts() {
                    remember(&mut self.restarts, at_ns);
                    self.last_restart = Some(doing.deed.clone());
                }
                if matches!(doing.deed, Deed::Limit(_)) {
                    self.limited = cgroup;
                }
                self.pending = Some(doing.clone());
            }
            Action::End(ending) if ending.order == 0 => {
                remember(&mut self.signalled, (at_ns, ending.processes));
            }
            _ => {}
        }
    }

    /// It ended.
    pub fn ended(&mut self, outcome: &Outcome, at_ns: u64) {
        let Some(did) = &outcome.did else { return };
        let Did { doing, left, .. } = did.as_ref();
        if self.pending.as_ref() == Some(doing) {
            self.pending = None;
        }
        self.leave(doing, *left, &outcome.kind, at_ns);
        match &outcome.kind {
            OutcomeKind::Done => {
                self.failed.remove(doing.deed.name());
                match doing.deed {
                    Deed::Freeze => self.frozen = true,
                    Deed::Thaw => self.frozen = false,
                    Deed::Isolate => self.isolated = true,
                    Deed::Rejoin => self.isolated = false,
                    Deed::Limit(_) | Deed::Resume => {}
                    Deed::Restart { .. } => self.restarted = self.restarted.saturating_add(1),
                    Deed::Recreate { .. } => {
                        self.restarted = self.restarted.saturating_add(1);
                        // What is made anew has the networks that it is configured with.
                        self.isolated = false;
                    }
                }
            }
            OutcomeKind::Failed(why) | OutcomeKind::Refused(why) if doing.order == 0 => {
                let before = self.failed.get(doing.deed.name());
                let times = before.map_or(0, |failed| failed.times).saturating_add(1);
                let failed = Failed {
                    deed: doing.deed.clone(),
                    at_ns,
                    why: why.clone(),
                    times,
                    refused: matches!(outcome.kind, OutcomeKind::Refused(_)),
                };
                self.failed.insert(doing.deed.name(), failed);
                if matches!(doing.deed, Deed::Limit(_)) {
                    self.limited = None;
                }
            }
            OutcomeKind::Failed(_) | OutcomeKind::Refused(_) => {}
        }
    }

    fn leave(&mut self, doing: &Doing, left: Left, kind: &OutcomeKind, at_ns: u64) {
        let tried = !matches!(kind, OutcomeKind::Refused(_));
        if tried && (doing.deed.restarts() || doing.deed == Deed::Resume) {
            self.half = left == Left::Half;
            self.down =
                (left == Left::Down && doing.order == 0).then(|| (doing.deed.clone(), at_ns));
        }
    }

    /// The target is gone; what is counted by the hour stays.
    pub fn clear(&mut self) {
        self.frozen = false;
        // Its limits are set anew at its next start.
        let is_limit = |failed: &Failed| matches!(failed.deed, Deed::Limit(_));
        self.failed.retain(|_, failed| !is_limit(failed));
    }
}

fn remember<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() >= REMEMBERED {
        all.pop_front();
    }
    all.push_back(one);
}
