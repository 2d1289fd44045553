//! The first refusal of each target's storms, for whoever asks later: the log has said it once.

use crate::model::input::Limit;
use crate::model::status::StormStatus;
use crate::model::{Fact, FactKind, TargetId};
use crate::sinks::log;
use std::collections::BTreeMap;

/// What is kept, by target.
#[derive(Debug, Default)]
pub struct Storms(BTreeMap<TargetId, Storm>);

#[derive(Debug, Default)]
struct Storm {
    last: StormStatus,
    by_limit: BTreeMap<&'static str, u64>,
}

impl Storms {
    /// Takes a fact about the target of that name, which may be a storm's first refusal.
    pub fn hear(&mut self, fact: &Fact, name: &str) {
        let FactKind::Breach {
            limit,
            verdict,
            pid,
            comm,
            first: true,
            ..
        } = &fact.kind
        else {
            return;
        };
        let storm = self.0.entry(fact.target).or_default();
        *storm.by_limit.entry(limit.name()).or_default() += 1;
        storm.last = StormStatus {
            running: true,
            began_ms: fact.at.wall_ms,
            limit: limit.name().to_owned(),
            verdict: verdict.name().to_owned(),
            pid: *pid,
            comm: comm.clone(),
            words: log::refusal(name, &fact.kind),
        };
    }

    /// The storm that runs, or the last one.
    pub fn last(&self, target: TargetId, running: bool) -> Option<StormStatus> {
        let last = self.0.get(&target)?.last.clone();
        Some(StormStatus { running, ..last })
    }

    /// How many began, by limit.
    pub fn by_limit(&self, target: TargetId) -> BTreeMap<String, u64> {
        let storm = self.0.get(&target);
        let of = |limit: Limit| storm.and_then(|storm| storm.by_limit.get(limit.name()).copied());
        let all = Limit::ALL.into_iter();
        all.map(|limit| (limit.name().to_owned(), of(limit).unwrap_or(0)))
            .collect()
    }
}
