//! What the tiers want: the levels carried out, one after the other.
//!
//! Without pressure every level acts by evidence alone and nothing is restarted; `strict` acts on
//! counts as the operators' protocol does. A tier that is switched off leaves its step undone.

use super::victims::{self, Urgency, Want};
use super::{level, limits, mend, start};
use crate::config::TargetConfig;
use crate::config::protocol::Scope;
use crate::model::{Action, Deed, Doing, Ending, Level, Reason, Stamp, Tier};
use crate::state::TargetState;
use crate::state::deeds::HOUR_NS;

/// How often trees are looked at, in ns, by how bad it is: idleness is seen by looking twice. A look
/// at 500 processes takes some 15 ms of another thread.
const LOOKS_NS: [(Level, u64); 3] = [
    (Level::Critical, 2_000_000_000),
    (Level::Warning, 10_000_000_000),
    (Level::Normal, 60_000_000_000),
];

/// At nuclear trees are ended first; what is under pressure and not better after so long is restarted,
/// in ns. A storm's trees boot for 20 s, in which none is ended. (`strict` restarts at once.)
const RESTART_AFTER_NS: u64 = 30_000_000_000;

/// What did not succeed, or may not be, is not tried again for so long, in ns.
pub const RETRY_NS: u64 = 60_000_000_000;

/// Limits that Docker would not take are tried again later and later, up to so often the time.
const MOST_RETRIES: u32 = 6;

/// A restart waits no longer than this for a look at the trees, in ns.
const LOOK_WITHIN_NS: u64 = 60_000_000_000;

/// What is asked for now.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The level that the figures ask for.
    pub measured: Level,
    /// The level in force.
    pub level: Level,
    /// Live processes beyond what is healthy.
    pub excess: u64,
    /// Since when there is pressure, ns of CLOCK_BOOTTIME.
    pub pressed_ns: Option<u64>,
    /// When.
    pub at: Stamp,
}

/// What each tier wants.
#[must_use]
pub fn decide(
    state: &TargetState,
    config: &TargetConfig,
    now: &Now,
) -> Vec<(Tier, Reason, Action)> {
    let mut wanted = Vec::new();
    wanted.extend(mend::decide(state, config, now.at));
    if state.cgroup().is_none() || !wanted.is_empty() {
        return wanted;
    }
    wanted.extend(prevent(state, config, now.at));
    if config.processes.is_none() && config.memory.is_none() {
        return wanted;
    }
    let tiers = &config.tiers;
    let on = [
        (tiers.nuclear_monitor.on, Tier::NuclearMonitor),
        (tiers.resource_enforcer.on, Tier::ResourceEnforcer),
    ];
    if let Some((_, tier)) = on.into_iter().find(|(on, _)| *on)
        && wants_look(state, now)
    {
        wanted.push((tier, Reason::Evidence, Action::Look));
    }
    // Only what was seen just now is acted upon, and one thing at a time.
    if state.watched().is_fresh() && !state.ends().has_own() && state.sees_what_is_left() {
        wanted.extend(ends(state, config, now));
        wanted.extend(nudges(state, config, now.at));
    }
    wanted.extend(restart(state, config, now));
    wanted
}

fn wants_look(state: &TargetState, now: &Now) -> bool {
    let at_ns = now.at.boot_ns;
    if state.trees().all().is_empty() || state.watched().waits(at_ns) {
        return false;
    }
    let pressed = now.pressed_ns.is_some();
    let level = if pressed { Level::Critical } else { now.level };
    let every = LOOKS_NS.into_iter().find(|(from, _)| level >= *from);
    let every = every.map_or(u64::MAX, |(_, every)| every);
    let looked = state.watched().looked_ns();
    looked.is_none_or(|looked| at_ns >= looked.saturating_add(every))
}

/// Trees to end, by the tier whose level asks for it.
fn ends(state: &TargetState, config: &TargetConfig, now: &Now) -> Vec<(Tier, Reason, Action)> {
    let strict = is_strict(config);
    let by_memory = level::by_memory(state, config).map_or(Level::Normal, |(level, _)| level);
    let urgency = |level| Urgency {
        level,
        pressed_ns: now.pressed_ns,
        strict,
    };
    let of = |asked: Option<(Level, level::Cause)>| asked.map_or(Level::Normal, |(level, _)| level);
    let by_count = of(level::by_count(state, config, now.excess));
    let acted = by_count.max(of(level::by_gate(state, config, now.excess, now.at)));
    if config.tiers.nuclear_monitor.on && acted >= Level::Critical {
        let all = strict && config.tiers.nuclear_monitor.scope == Scope::All;
        let want = if all && by_count >= Level::Critical {
            Want::ALL
        } else {
            Want {
                processes: too_many(state, config, urgency(acted), now.excess),
                slots: room(state, config, now.at),
                trees: 0,
            }
        };
        let reason = if acted >= Level::Emergency {
            Reason::Emergency
        } else {
            Reason::Cleanup
        };
        let chosen = victims::choose(state, config, now.at, urgency(acted), want);
        if !chosen.is_empty() {
            return said(Tier::NuclearMonitor, reason, chosen);
        }
    }
    if config.tiers.resource_enforcer.on && by_memory >= Level::Critical {
        // One at a time: what it frees is seen at the next look.
        let want = Want {
            trees: 1,
            ..Want::default()
        };
        let chosen = victims::choose(state, config, now.at, urgency(by_memory), want);
        return said(Tier::ResourceEnforcer, Reason::Memory, chosen);
    }
    Vec::new()
}

fn said(tier: Tier, reason: Reason, chosen: Vec<Ending>) -> Vec<(Tier, Reason, Action)> {
    let actions = chosen.into_iter().map(Action::End);
    actions.map(|action| (tier, reason, action)).collect()
}

/// Processes that are to go: by evidence down to below warning, so that the target is well again; what
/// ends without evidence, in an emergency, only down to below critical.
fn too_many(state: &TargetState, config: &TargetConfig, urgency: Urgency, excess: u64) -> u64 {
    let Some(levels) = &config.processes else {
        return 0;
    };
    let count = level::count(state, excess, levels.count);
    let goal = match urgency.level {
        Level::Normal | Level::Warning => return 0,
        Level::Emergency | Level::Nuclear if urgency.is_dire() || urgency.strict => levels.critical,
        Level::Critical | Level::Emergency | Level::Nuclear => levels.warning,
    };
    count.saturating_add(1).saturating_sub(goal)
}

/// Slots that are to become free, while spawns are refused for want of one.
fn room(state: &TargetState, config: &TargetConfig, now: Stamp) -> u64 {
    if state.is_refused_at_cap(now) {
        victims::room(state, config)
    } else {
        0
    }
}

fn is_strict(config: &TargetConfig) -> bool {
    config
        .processes
        .as_ref()
        .is_some_and(|levels| levels.strict)
}

/// A restart, or what comes after one that did not help.
fn restart(
    state: &TargetState,
    config: &TargetConfig,
    now: &Now,
) -> Option<(Tier, Reason, Action)> {
    let at_ns = now.at.boot_ns;
    let strict = is_strict(config);
    // Without pressure nothing was tried but what was idle for an hour.
    let since = state.measured_since(Level::Nuclear)?;
    let since = since.max(now.pressed_ns.unwrap_or(since));
    let deeds = state.deeds();
    let acts = config.source.is_container()
        && config.tiers.host_monitor.on
        && now.measured == Level::Nuclear
        && (now.pressed_ns.is_some() || strict)
        && deeds.pending().is_none();
    let mut failed = deeds.failed().filter(|failed| failed.deed.restarts());
    let lately = failed.any(|failed| at_ns < failed.at_ns.saturating_add(RETRY_NS));
    if !acts || lately || !strict && !were_trees_tried(state, config, since, at_ns) {
        return None;
    }
    let (reason, deed) = next(state, config, at_ns)?;
    let doing = Doing { order: 0, deed };
    Some((Tier::HostMonitor, reason, Action::Do(doing)))
}

/// Whether it was looked for trees to end since it is nuclear, and nothing came of it in good time.
fn were_trees_tried(state: &TargetState, config: &TargetConfig, since_ns: u64, at_ns: u64) -> bool {
    let tiers = &config.tiers;
    let nobody_looks = !tiers.nuclear_monitor.on && !tiers.resource_enforcer.on;
    let looked = state.watched().looked_ns().is_some_and(|at| at >= since_ns);
    let waited = |ns: u64| at_ns >= since_ns.saturating_add(ns);
    let may_not_wait = nobody_looks || looked || waited(LOOK_WITHIN_NS);
    waited(RESTART_AFTER_NS) && may_not_wait && !state.ends().has_own()
}

/// Restart, then recreate, then nothing until an hour has passed: what comes back each time is not
/// helped by a third.
fn next(state: &TargetState, config: &TargetConfig, at_ns: u64) -> Option<(Reason, Deed)> {
    let deeds = state.deeds();
    if deeds.restarts_within_hour(at_ns) >= config.restart.max_per_hour {
        return None;
    }
    let stop_s = config.restart.stop_timeout.as_secs();
    let within = |ns: u64| {
        let last = deeds.last_restart_ns();
        last.is_some_and(|last| at_ns < last.saturating_add(ns))
    };
    match deeds.last_restart() {
        Some(Deed::Recreate { .. }) if within(HOUR_NS) => None,
        Some(Deed::Restart { .. }) if within(start::AGAIN_NS) => {
            Some((Reason::Again, Deed::Recreate { stop_s }))
        }
        _ => Some((Reason::Nuclear, Deed::Restart { stop_s })),
    }
}

/// The container has started: Docker's own limits, once for each start.
fn prevent(
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
) -> Option<(Tier, Reason, Action)> {
    let cgroup = state.cgroup()?.id;
    if !config.tiers.startup_preventer.on || !config.source.is_container() {
        return None;
    }
    let limits = limits::of(state, config, now)?;
    let deeds = state.deeds();
    if deeds.limited() == Some(cgroup) || deeds.pending().is_some() {
        return None;
    }
    let mut failed = deeds.failed().filter(|failed| is_limit(&failed.deed));
    let waits = failed.any(|failed| {
        let longest = RETRY_NS << MOST_RETRIES;
        let shift = failed.times.saturating_sub(1).min(MOST_RETRIES);
        let wait = if failed.refused {
            longest
        } else {
            RETRY_NS << shift
        };
        now.boot_ns < failed.at_ns.saturating_add(wait)
    });
    if waits {
        return None;
    }
    let doing = Doing {
        order: 0,
        deed: Deed::Limit(limits),
    };
    Some((Tier::StartupPreventer, Reason::Started, Action::Do(doing)))
}

const fn is_limit(deed: &Deed) -> bool {
    matches!(deed, Deed::Limit(_))
}

/// Parents that do not wait for their children are reminded of them.
fn nudges(state: &TargetState, config: &TargetConfig, now: Stamp) -> Vec<(Tier, Reason, Action)> {
    if !config.tiers.resource_enforcer.on {
        return Vec::new();
    }
    let watched = state.watched();
    let all = watched.zombies().iter();
    let due = all.filter(|zombies| watched.is_to_be_reminded(zombies, now.boot_ns));
    due.map(|zombies| {
        let action = Action::Nudge {
            parent: zombies.parent,
            comm: zombies.comm.clone(),
            zombies: zombies.count,
        };
        (Tier::ResourceEnforcer, Reason::Zombies, action)
    })
    .collect()
}
