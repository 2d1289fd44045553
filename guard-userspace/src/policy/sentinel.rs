//! What the tiers want: the levels carried out, one after the other.
//!
//! Without pressure every level acts by evidence alone and nothing is restarted; `strict` acts on
//! counts as the operators' protocol does. A tier that is switched off leaves its step undone.

use super::victims::{self, Urgency};
use super::{level, limits};
use crate::config::TargetConfig;
use crate::model::{Action, Deed, Doing, Ending, Level, Reason, Stamp, Tier};
use crate::state::TargetState;

/// How often trees are looked at, in ns, by how bad it is: idleness is seen by looking twice. A look
/// at 500 processes takes some 15 ms of another thread.
const LOOKS_NS: [(Level, u64); 3] = [
    (Level::Critical, 2_000_000_000),
    (Level::Warning, 10_000_000_000),
    (Level::Normal, 60_000_000_000),
];

/// A look without an answer is asked for again after so long, in ns.
const ANSWER_NS: u64 = 30_000_000_000;

/// One that came to nothing is tried again after so long, in ns: at once would be again and again.
const AGAIN_LOOK_NS: u64 = 2_000_000_000;

/// At nuclear trees are ended first; what is not better after so long is restarted, in ns. (`strict`
/// restarts at once.)
const RESTART_AFTER_NS: u64 = 10_000_000_000;

/// What explodes again so soon after a restart was not helped by it, in ns.
const AGAIN_NS: u64 = 1_800_000_000_000;

/// What did not succeed, or may not be, is not tried again for so long, in ns.
const RETRY_NS: u64 = 60_000_000_000;

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
    if state.cgroup().is_none() {
        return Vec::new();
    }
    let mut wanted = Vec::new();
    wanted.extend(prevent(state, config, now.at));
    if config.processes.is_none() && config.memory.is_none() {
        return wanted;
    }
    let tiers = &config.tiers;
    if (tiers.nuclear_monitor.on || tiers.resource_enforcer.on) && wants_look(state, now) {
        wanted.push((Tier::NuclearMonitor, Reason::Evidence, Action::Look));
    }
    // Only what was seen just now is acted upon, and one thing at a time.
    if state.watched().looked_ns() == Some(now.at.boot_ns) && !state.ends().has_own() {
        wanted.extend(ends(state, config, now));
        wanted.extend(nudges(state, config, now.at));
    }
    wanted.extend(restart(state, config, now));
    wanted
}

fn wants_look(state: &TargetState, now: &Now) -> bool {
    let at_ns = now.at.boot_ns;
    let waits = |asked: u64| at_ns < asked.saturating_add(ANSWER_NS);
    let failed = |at: u64| at_ns < at.saturating_add(AGAIN_LOOK_NS);
    if state.trees().all().is_empty()
        || state.watched().asked_ns().is_some_and(waits)
        || state.watched().failed_ns().is_some_and(failed)
    {
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
    let mut wanted = Vec::new();
    let mut say = |tier, level, chosen: Vec<Ending>| {
        let reason = match (tier, level >= Level::Emergency) {
            (Tier::ResourceEnforcer, _) => Reason::Memory,
            (_, true) => Reason::Emergency,
            (_, false) => Reason::Cleanup,
        };
        let actions = chosen.into_iter().map(Action::End);
        wanted.extend(actions.map(|action| (tier, reason, action)));
    };
    if config.tiers.nuclear_monitor.on && now.measured >= Level::Critical {
        let enough = too_many(state, config, now).max(pressed_room(state, config, now));
        let by_count = level::by_count(state, config, now.excess);
        let by_count = by_count.map_or(Level::Normal, |(level, _)| level);
        // By the gate alone it is critical.
        let level = by_count.max(Level::Critical);
        let chosen = victims::choose(state, config, now.at, urgency(level), enough);
        say(Tier::NuclearMonitor, level, chosen);
    }
    if config.tiers.resource_enforcer.on && by_memory >= Level::Critical && wanted.is_empty() {
        // One at a time: what it frees is seen at the next look.
        let chosen = victims::choose(state, config, now.at, urgency(by_memory), 1);
        let chosen = chosen
            .into_iter()
            .map(|ending| (Tier::ResourceEnforcer, Reason::Memory, Action::End(ending)));
        wanted.extend(chosen);
    }
    wanted
}

/// Processes that are to go: at critical down to below warning, from emergency on to below critical.
fn too_many(state: &TargetState, config: &TargetConfig, now: &Now) -> u64 {
    let Some(levels) = &config.processes else {
        return 0;
    };
    let count = level::count(state, now.excess, levels.count);
    let goal = match now.measured {
        Level::Normal | Level::Warning => return 0,
        Level::Critical => levels.warning,
        Level::Emergency | Level::Nuclear => levels.critical,
    };
    (count + 1).saturating_sub(goal)
}

fn pressed_room(state: &TargetState, config: &TargetConfig, now: &Now) -> u64 {
    if state.is_refused_at_cap(now.at) {
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
    let since = state.measured_since(Level::Nuclear)?;
    let long_enough = strict || at_ns >= since.saturating_add(RESTART_AFTER_NS);
    let acts = config.source.is_container()
        && config.tiers.host_monitor.on
        && now.measured == Level::Nuclear
        && (now.pressed_ns.is_some() || strict)
        && state.deeds().pending().is_none();
    if !acts
        || !long_enough
        || state
            .deeds()
            .has_failed_since(at_ns.saturating_sub(RETRY_NS))
    {
        return None;
    }
    let (reason, deed) = next(state, config, at_ns)?;
    let doing = Doing { order: 0, deed };
    Some((Tier::HostMonitor, reason, Action::Do(doing)))
}

/// Restart, then recreate, then nothing until an hour has passed: what comes back each time is not
/// helped by a third.
fn next(state: &TargetState, config: &TargetConfig, at_ns: u64) -> Option<(Reason, Deed)> {
    let deeds = state.deeds();
    if deeds.restarts_within_hour(at_ns) >= config.restart.max_per_hour {
        return None;
    }
    let stop_s = config.restart.stop_timeout.as_secs();
    let lately = deeds
        .last_restart_ns()
        .is_some_and(|last| at_ns < last.saturating_add(AGAIN_NS));
    match deeds.last_restart().filter(|_| lately) {
        None => Some((Reason::Nuclear, Deed::Restart { stop_s })),
        Some(Deed::Restart { .. }) => Some((Reason::Again, Deed::Recreate { stop_s })),
        Some(_) => None,
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
    let again = now.boot_ns.saturating_sub(RETRY_NS);
    let done = deeds.limited() == Some(cgroup) || deeds.has_failed_since(again);
    if done || deeds.pending().is_some() {
        return None;
    }
    let doing = Doing {
        order: 0,
        deed: Deed::Limit(limits),
    };
    Some((Tier::StartupPreventer, Reason::Started, Action::Do(doing)))
}

/// Parents that do not wait for their children are reminded at each look.
fn nudges(state: &TargetState, config: &TargetConfig, _now: Stamp) -> Vec<(Tier, Reason, Action)> {
    if !config.tiers.resource_enforcer.on {
        return Vec::new();
    }
    let all = state.watched().zombies().iter();
    all.map(|zombies| {
        let action = Action::Nudge {
            parent: zombies.parent,
            comm: zombies.comm.clone(),
            zombies: zombies.count,
        };
        (Tier::ResourceEnforcer, Reason::Zombies, action)
    })
    .collect()
}
