//! What the policy has said, and what it remembers of that.

use super::good;
use super::target::TargetState;
use super::trees::Holding;
use crate::model::{FactKind, Level, Verdict};

impl TargetState {
    /// What was said is not said again.
    pub(super) fn said(&mut self, verdict: &Verdict) {
        if self.cgroup.is_some() {
            self.trend.see(verdict.at.second(), verdict.count);
        }
        let leaks = verdict.said.iter().filter_map(|fact| match fact {
            FactKind::Leak { family, .. } => Some(family.as_str()),
            _ => None,
        });
        self.leaks.told(leaks);
        self.trend.grows(verdict.grows);
        let is_told = |fact: &FactKind| matches!(fact, FactKind::CapTooSmall { .. });
        if verdict.said.iter().any(is_told) {
            self.cap_told_ns = Some(verdict.at.boot_ns);
        }
        self.start_judged |= verdict.started;
        if verdict.started && verdict.level == Level::Normal {
            let holdings = self.trees.holdings(&self.kin).into_iter();
            let count = |holding: &Holding| u64::try_from(holding.roots.len()).unwrap_or(u64::MAX);
            self.good_start = Some(good::Start {
                live: self.counts.seen().live,
                families: holdings
                    .map(|(family, holding)| (family.to_owned(), count(&holding)))
                    .collect(),
            });
        }
    }
}
