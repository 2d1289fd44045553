//! The protocol's five success criteria, judged over a series of samples: a pure function, the same for
//! the countdown and for the tests.

use crate::model::Status;
use crate::model::status::TargetStatus;
use core::time::Duration;
use serde::Serialize;

/// A rise below this many processes is no growth: less than one npx server's tree.
const LEAST_GROWTH: u64 = 3;

/// Memory that is more by this share of its limit, in percent, is not stable.
const STABLE_PERCENT: u64 = 5;

/// Fewer samples say nothing about growth and stability.
const ENOUGH: usize = 4;

/// One look at one target.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When, since the window began.
    pub at: Duration,
    /// Why the agent itself is not well; empty while it is.
    pub agent: Vec<String>,
    /// The agent was started for this, and no tier is on.
    pub own: bool,
    /// The target.
    pub target: TargetStatus,
}

impl Sample {
    /// The target of that name in a status; `None`: it is not in there.
    pub fn of(status: &Status, name: &str, at: Duration) -> Option<Self> {
        let target = status.targets.iter().find(|one| one.name == name)?;
        let mut agent = status.problems.clone();
        if !status.sensing && agent.is_empty() {
            agent.push("the agent does not read the kernel's events".to_owned());
        }
        if status.mode == "enforce" && !status.gate.proved && agent.is_empty() {
            agent.push(format!(
                "the gate has not proved itself: {}",
                status.gate.why
            ));
        }
        Some(Self {
            at,
            agent,
            own: false,
            target: target.clone(),
        })
    }

    /// What the levels count, in words and as a number.
    pub fn count(&self) -> (&'static str, u64) {
        let levels = self.target.sentinel.levels.as_ref();
        if levels.is_some_and(|levels| levels.count == "excess") {
            ("processes beyond what is healthy", self.target.excess)
        } else {
            ("live processes", self.target.counts.live)
        }
    }
}

/// How a criterion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stands {
    /// It holds.
    Holds,
    /// It does not.
    Failed,
    /// It cannot be read here, which fails nothing.
    Unread,
    /// It may still come to hold within the window.
    Open,
}

/// One of the five.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Criterion {
    /// `processes`, `memory`, `growth`, `monitoring` or `health`.
    pub name: &'static str,
    /// How it stands.
    pub result: Stands,
    /// Why.
    pub words: String,
}

const fn criterion(name: &'static str, result: Stands, words: String) -> Criterion {
    Criterion {
        name,
        result,
        words,
    }
}

/// Judges what was seen of one target; `over`: the window has ended, and nothing stays open.
pub fn judge(samples: &[Sample], over: bool) -> Vec<Criterion> {
    let Some(last) = samples.last() else {
        let words = "the target was never seen".to_owned();
        return vec![criterion("monitoring", Stands::Failed, words)];
    };
    let mut all = vec![
        processes(samples, last),
        memory(samples, last),
        growth(samples),
        monitoring(samples, last),
        health(last),
    ];
    for one in &mut all {
        if over && one.result == Stands::Open {
            one.result = Stands::Failed;
        }
    }
    all
}

fn processes(samples: &[Sample], last: &Sample) -> Criterion {
    let name = "processes";
    let Some(levels) = &last.target.sentinel.levels else {
        let words = "no [target.processes] in the configuration says how many are too many";
        return criterion(name, Stands::Unread, words.to_owned());
    };
    let warning = levels.warning;
    let most = samples.iter().map(|sample| (sample.count(), sample.at));
    let most = most.max_by_key(|((_, count), _)| *count);
    let ((what, count), at) = most.unwrap_or((last.count(), last.at));
    let result = if count < warning {
        Stands::Holds
    } else {
        Stands::Failed
    };
    let at = at.as_secs();
    let words = format!("at most {count} {what} (after {at} s), warning from {warning}");
    criterion(name, result, words)
}

fn memory(samples: &[Sample], last: &Sample) -> Criterion {
    let name = "memory";
    let used = samples
        .iter()
        .filter_map(|sample| sample.target.sentinel.memory_used_bytes);
    let used: Vec<u64> = used.collect();
    let (Some(levels), Some(most)) = (&last.target.sentinel.memory_levels, used.iter().max())
    else {
        let words = "neither the configuration nor the cgroup has a limit, or it could not be read";
        return criterion(name, Stands::Unread, words.to_owned());
    };
    let mb = |bytes: u64| bytes / 1_000_000;
    let words = format!(
        "at most {} MB in use, warning above {} MB",
        mb(*most),
        mb(levels.warning)
    );
    if *most > levels.warning {
        return criterion(name, Stands::Failed, words);
    }
    let (first, latest) = ends(&used);
    let more = latest.saturating_sub(first);
    if used.len() >= ENOUGH && more > levels.limit / 100 * STABLE_PERCENT {
        let words = format!("{words}; not stable: {} MB more than at first", mb(more));
        return criterion(name, Stands::Open, words);
    }
    criterion(name, Stands::Holds, words)
}

/// The median of the first quarter and that of the last.
fn ends(values: &[u64]) -> (u64, u64) {
    let quarter = values.len().div_ceil(4);
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or(0)
    };
    let last = values.len().saturating_sub(quarter);
    let (first, _) = values.split_at_checked(quarter).unwrap_or((values, &[]));
    let (_, latest) = values.split_at_checked(last).unwrap_or((&[], values));
    (median(first), median(latest))
}

/// A session that opens makes a step; what leaks rises through all of the window and never falls.
fn growth(samples: &[Sample]) -> Criterion {
    let name = "growth";
    let live = samples.iter().map(|sample| sample.target.counts.live);
    let live: Vec<u64> = live.collect();
    let (first, last) = (live.first().copied(), live.last().copied());
    let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
    let words = format!("from {first} to {last} live processes");
    if live.len() < ENOUGH {
        return criterion(name, Stands::Holds, words);
    }
    let falls = live.windows(2).any(|pair| matches!(pair, [a, b] if b < a));
    let rises = |part: &[u64]| part.first() < part.last();
    // Each quarter begins with the last sample of the one before.
    let step = (live.len() - 1).div_ceil(4).max(1);
    let quarters = (0..live.len() - 1).step_by(step);
    let all_rise = quarters
        .filter_map(|from| live.get(from..live.len().min(from + step + 1)))
        .all(rises);
    if !falls && all_rise && last.saturating_sub(first) >= LEAST_GROWTH {
        let words = format!("{words}, and never fell");
        return criterion(name, Stands::Open, words);
    }
    criterion(name, Stands::Holds, words)
}

fn monitoring(samples: &[Sample], last: &Sample) -> Criterion {
    let name = "monitoring";
    let ill = samples.iter().find(|sample| !sample.agent.is_empty());
    if let Some(ill) = ill {
        return criterion(name, Stands::Failed, ill.agent.join("; "));
    }
    if let Some(away) = samples.iter().find(|sample| !sample.target.armed) {
        let words = format!("it was not there after {} s", away.at.as_secs());
        return criterion(name, Stands::Failed, words);
    }
    if last.own {
        let words = "no agent ran before: gate and tiers are at work while one does";
        return criterion(name, Stands::Unread, words.to_owned());
    }
    let tiers = &last.target.sentinel.tiers;
    let of = |on: bool| {
        let named = tiers.iter().filter(move |(_, is)| **is == on);
        named.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    let mut words = format!("gate {}, on: {}", last.target.mode, of(true).join(", "));
    let off = of(false);
    if !off.is_empty() {
        words = format!("{words}; off by the configuration: {}", off.join(", "));
    }
    criterion(name, Stands::Holds, words)
}

fn health(last: &Sample) -> Criterion {
    let name = "health";
    let health = last.target.sentinel.health.as_str();
    let result = match health {
        "healthy" => Stands::Holds,
        "unhealthy" | "starting" => Stands::Open,
        _ => {
            let words = "it has no health check, or it could not be asked";
            return criterion(name, Stands::Unread, words.to_owned());
        }
    };
    criterion(name, result, format!("the container is {health}"))
}

#[cfg(test)]
mod tests;
