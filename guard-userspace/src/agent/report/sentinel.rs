//! What the sentinel makes of a target, for whoever asks.

use crate::agent::clock;
use crate::config::TargetConfig;
use crate::config::protocol::Count;
use crate::engine::Target;
use crate::incident::Open;
use crate::model::status::sentinel::{
    IncidentStatus, LevelsStatus, MemoryLevelsStatus, SentinelStatus, StartStatus, VictimStatus,
    ZombiesStatus,
};
use crate::model::{Level, Stamp};
use crate::policy;
use crate::state::TargetState;

/// Of one target, now.
pub(super) fn of(known: &Target) -> SentinelStatus {
    let Target {
        config,
        state,
        incidents,
    } = known;
    let now = clock::now();
    let deeds = state.deeds();
    let failed = deeds.failed().max_by_key(|failed| failed.at_ns);
    let measured = measured(state);
    let limits = policy::limits::of(state, config, now);
    let cgroup = state.cgroup().map(|cgroup| cgroup.id);
    SentinelStatus {
        measured: measured.name().to_owned(),
        incident: incidents.open().map(incident),
        pressed_since_ms: state.pressed_ns().map(|at| wall_ms(at, now)),
        health: state.health().name().to_owned(),
        frozen: deeds.is_frozen(),
        isolated: deeds.is_isolated(),
        under_way: deeds.pending().map(|doing| doing.deed.name().to_owned()),
        failed_deed: failed.map(|failed| format!("{}: {}", failed.deed, failed.why)),
        restarts: deeds.restarted(),
        restarts_last_hour: deeds.restarts_within_hour(now.boot_ns),
        max_restarts_per_hour: config.restart.max_per_hour,
        tiers: tiers(config),
        killed_by: state.ends().by_tier(),
        tight_cap: state.tight(),
        auto_cap: state.auto_cap(),
        start: StartStatus {
            running: policy::start::is_on(state, now),
            since_ms: state.start().map(|start| wall_ms(start.since_ns, now)),
            rate: config.gate.startup_rate,
            burst: config.gate.startup_burst,
        },
        levels: levels(config),
        memory_levels: memory_levels(state, config),
        memory_used_bytes: state.memory().map(|memory| memory.used()),
        docker_limits: limits.map(|limits| limits.to_string()),
        limited: cgroup.is_some() && deeds.limited() == cgroup,
        victims: victims(state, config, measured, now),
        zombies: zombies(state),
    }
}

fn incident(open: &Open) -> IncidentStatus {
    IncidentStatus {
        id: open.id,
        since_ms: open.since.wall_ms,
        why: open.why.clone(),
        escalation: open.escalation,
        peak_live: open.peak_live,
        peak_memory_bytes: open.peak_memory,
    }
}

fn measured(state: &TargetState) -> Level {
    let mut worst_first = Level::ALL.into_iter().rev();
    worst_first
        .find(|level| state.measured_since(*level).is_some())
        .unwrap_or_default()
}

/// When that was on the clock of the wall.
fn wall_ms(at_ns: u64, now: Stamp) -> i64 {
    let ago_ms = now.boot_ns.saturating_sub(at_ns) / 1_000_000;
    now.wall_ms
        .saturating_sub(i64::try_from(ago_ms).unwrap_or(i64::MAX))
}

fn tiers(config: &TargetConfig) -> std::collections::BTreeMap<String, bool> {
    let tiers = &config.tiers;
    [
        ("nuclear_monitor", tiers.nuclear_monitor.on),
        ("host_monitor", tiers.host_monitor.on),
        ("resource_enforcer", tiers.resource_enforcer.on),
        ("startup_preventer", tiers.startup_preventer.on),
    ]
    .map(|(name, on)| (name.to_owned(), on))
    .into()
}

fn levels(config: &TargetConfig) -> Option<LevelsStatus> {
    let levels = config.processes.as_ref()?;
    let count = match levels.count {
        Count::Excess => "excess",
        Count::Total => "total",
    };
    Some(LevelsStatus {
        count: count.to_owned(),
        strict: levels.strict,
        warning: levels.warning,
        critical: levels.critical,
        emergency: levels.emergency,
        nuclear: levels.nuclear,
    })
}

fn memory_levels(state: &TargetState, config: &TargetConfig) -> Option<MemoryLevelsStatus> {
    let levels = config.memory.as_ref()?;
    let limit = policy::level::memory_limit(state, config)?;
    Some(MemoryLevelsStatus {
        limit,
        warning: levels.warning.of(limit),
        critical: levels.critical.of(limit),
        emergency: levels.emergency.of(limit),
        restart_over: levels.restart_over.0,
    })
}

/// Ranking all trees each second would be too dear where nothing is wrong.
fn victims(
    state: &TargetState,
    config: &TargetConfig,
    measured: Level,
    now: Stamp,
) -> Vec<VictimStatus> {
    if measured < Level::Warning && state.pressed_ns().is_none() {
        return Vec::new();
    }
    let all = policy::victims::cleanup(state, config, now).into_iter();
    all.map(|ending| VictimStatus {
        tree: ending.tree,
        root: ending.root,
        family: ending.family,
        processes: ending.processes,
        ground: ending
            .ground
            .map_or_else(String::new, |ground| ground.name().to_owned()),
    })
    .collect()
}

fn zombies(state: &TargetState) -> Vec<ZombiesStatus> {
    let all = state.watched().zombies().iter();
    all.map(|zombies| ZombiesStatus {
        pid: zombies.parent.pid,
        comm: zombies.comm.clone(),
        zombies: zombies.count,
    })
    .collect()
}
