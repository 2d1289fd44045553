//! The agent's status at this moment: what the engine knows, with the kernel's own counts.

mod families;
mod sentinel;

use super::clock;
use super::guard::Guard;
use super::places::Place;
use super::rounds::Covering;
use crate::config::Mode;
use crate::model::TargetId;
use crate::model::status::{CgroupStatus, Counts, GateStatus, LimitsStatus, Status, TargetStatus};
use crate::state::{Attempt, TargetState};
use guard_common::GateLimits;
use std::collections::BTreeMap;

/// What only the loop knows.
#[derive(Debug)]
pub struct Running {
    /// When the agent began, milliseconds since 1970 (UTC).
    pub started_ms: i64,
    /// Whether the kernel's events are being read.
    pub sensing: bool,
    /// What does not work beside the gate.
    pub degraded: Vec<String>,
}

impl Guard {
    /// The status now.
    #[must_use]
    pub fn status(&self, running: &Running) -> Status {
        let targets = self.places.iter();
        let covering = self.covering();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: match self.config.mode {
                Mode::Enforce => "enforce",
                Mode::Observe => "observe",
            }
            .to_owned(),
            pid: std::process::id(),
            started_ms: running.started_ms,
            taken_ms: clock::now().wall_ms,
            sensing: running.sensing,
            problems: self.problems(running, &covering),
            degraded: running
                .degraded
                .iter()
                .map(String::as_str)
                .chain(self.diary.problem())
                .map(str::to_owned)
                .collect(),
            gate: GateStatus {
                mode: self.gate.mode.name().to_owned(),
                proved: self.gate.proved,
                why: self.gate.why.clone(),
                errno: self.gate.errno.map(|errno| errno.name().to_owned()),
                kills_at_birth: self.kernel.kills_at_birth(),
                marked_mounts: covering.mounts,
                answers: covering.answers,
            },
            lost_events: named(&self.lost),
            counting: self.kernel.events.name().to_owned(),
            programs: self.kernel.program_stats(),
            targets: targets
                .filter_map(|(id, place)| self.target(id, place, &covering))
                .collect(),
        }
    }

    fn problems(&self, running: &Running, covering: &Covering) -> Vec<String> {
        let mut problems = Vec::new();
        if !running.sensing {
            let words = "the kernel's events are not read any more: restart the agent";
            problems.push(words.to_owned());
        }
        if self.config.mode == Mode::Enforce && !self.gate.proved {
            problems.push(format!("the gate has not proved itself: {}", self.gate.why));
        }
        if let Some(why) = &covering.problem {
            problems.push(format!(
                "execs over a limit are not denied now, and their processes die instead: {why}"
            ));
        }
        problems
    }

    fn target(&self, id: TargetId, place: &Place, covering: &Covering) -> Option<TargetStatus> {
        let known = self.engine.target(id)?;
        let state = &known.state;
        let now = clock::now();
        let counts = self.kernel.tables.counters(id.0);
        let counts = counts.map_or(*state.counters(), |own| self.whole(id, &own));
        let gate = self.kernel.tables.gate(id.0);
        let committed = gate.map_or(state.committed(), |gate| gate.committed);
        let memory = state.memory();
        Some(TargetStatus {
            name: place.config.name.clone(),
            watches: place.watches(),
            armed: state.cgroup().is_some(),
            cgroup: state.cgroup().map(|cgroup| CgroupStatus {
                id: cgroup.id.0,
                path: cgroup.path.clone(),
                adopted: cgroup.adopted,
                from_birth: cgroup.from_birth,
            }),
            level: state.level().name().to_owned(),
            level_why: state.level_why().to_owned(),
            excess: state.excess(),
            reserved: families::unused(state),
            free: state.in_force().and_then(|limits| free(limits, committed)),
            gateways: families::gateways(state),
            families: families::of(state),
            counts: Counts::from(counts),
            contains: self.names_within(id),
            committed,
            spawn_rate: state.spawn_rate(now),
            mode: state.mode().name().to_owned(),
            asked: covering.near.contains(&id.0),
            host_asked: covering.on_host.contains(&id.0),
            limits: state.in_force().map(limits),
            storm: self.storms.last(id, state.storm_since(now).is_some()),
            storms: self.storms.by_limit(id),
            failed_action: failed(state),
            retired: state.ends().retired(),
            killed_by_operator: state.ends().killed(),
            memory_bytes: memory.map(|memory| memory.bytes),
            memory_limit_bytes: memory.and_then(|memory| memory.limit),
            lost_events: named(state.lost()),
            sentinel: sentinel::of(known),
        })
    }
}

fn named(lost: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    let all = lost.iter();
    all.map(|(source, total)| ((*source).to_owned(), *total))
        .collect()
}

fn limits(limits: &GateLimits) -> LimitsStatus {
    LimitsStatus {
        max_processes: Some(limits.max_processes).filter(|cap| *cap != u64::MAX),
        spawn_rate: 1_000_000_000_u64.checked_div(limits.token_ns),
        spawn_burst: limits.burst,
        tree_processes: limits.tree_processes,
        reserve: limits.reserve,
    }
}

fn free(limits: &GateLimits, committed: u64) -> Option<u64> {
    let open = limits.terms().open_to_trees();
    (limits.max_processes != u64::MAX).then(|| open.saturating_sub(committed))
}

fn failed(state: &TargetState) -> Option<String> {
    match state.attempt() {
        Attempt::Failed { action, why, .. } => Some(format!("{}: {why}", action.name())),
        _ => None,
    }
}
