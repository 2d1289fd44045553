//! Which trees are to end: whole ones, by evidence, and no more than brings the target where it is to
//! be. Whether each may be ended is the rails' to say.
//!
//! A count alone ends no live session. Evidence is that whoever asked for a tree is gone, that nobody
//! can write to it any more, or that it is idle and one of more than its family's
//! `allowed_instances`. In an emergency, while spawns are refused or memory runs out, the rest of what
//! is more than healthy follows.

use super::{excess, near, operator, pressure};
use crate::config::TargetConfig;
use crate::config::protocol::Scope;
use crate::model::evidence::{Ground, Writer};
use crate::model::kin::{TreeKind, TreeSeen};
use crate::model::{Ending, How, Level, Stamp};
use crate::state::TargetState;
use core::cmp::Reverse;
use guard_common::tree::Role;
use std::collections::{BTreeMap, BTreeSet};

/// So long after its last fork or exec a tree may still be starting, in ns: npx servers boot within
/// it, and MetaMCP would count what ends earlier as a crash (workload.md).
const BOOTS_NS: u64 = 20_000_000_000;

/// How far the search for victims may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Urgency {
    /// The level that is acted upon.
    pub level: Level,
    /// Since when there is pressure, ns of CLOCK_BOOTTIME.
    pub pressed_ns: Option<u64>,
    /// The count alone suffices.
    pub strict: bool,
}

/// A tree that may be chosen.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    tree: &'a TreeSeen,
    ground: Ground,
    idle_s: u64,
    memory: u64,
}

/// Whatever has evidence against it or, in an emergency, is more than healthy, in the order in which it
/// is to end, until `enough` processes are found.
#[must_use]
pub fn choose(
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
    urgency: Urgency,
    enough: u64,
) -> Vec<Ending> {
    let mut candidates = candidates(state, config, now, urgency);
    candidates.sort_by_key(|one| {
        let size = (Reverse(one.idle_s), Reverse(one.memory), one.tree.born_ns);
        (rank(one.ground), size, one.tree.id)
    });
    let how = if urgency.level >= Level::Emergency {
        How::Force
    } else {
        How::End
    };
    let mut left = budget(state, config, now);
    let mut found: u64 = 0;
    let mut ends = Vec::new();
    for one in candidates {
        if found >= enough {
            break;
        }
        if one.tree.used > left {
            continue;
        }
        left -= one.tree.used;
        found = found.saturating_add(one.tree.used);
        ends.push(Ending {
            how,
            ground: Some(one.ground),
            ..operator::ending(state, one.tree.id, one.tree.root)
        });
    }
    ends
}

/// What an operator's cleanup ends: all that has evidence against it, as under pressure.
#[must_use]
pub fn cleanup(state: &TargetState, config: &TargetConfig, now: Stamp) -> Vec<Ending> {
    let urgency = Urgency {
        level: Level::Critical,
        pressed_ns: Some(state.pressed_ns().unwrap_or(now.boot_ns)),
        strict: config
            .processes
            .as_ref()
            .is_some_and(|levels| levels.strict),
    };
    choose(state, config, now, urgency, u64::MAX)
}

/// Processes that may still be signalled within this minute.
fn budget(state: &TargetState, config: &TargetConfig, now: Stamp) -> u64 {
    let signalled = state.deeds().signalled_within_minute(now.boot_ns);
    config.end.max_kills_per_minute.saturating_sub(signalled)
}

/// How many slots must become free for the target not to be near its cap any more.
#[must_use]
pub fn room(state: &TargetState, config: &TargetConfig) -> u64 {
    let Some(limits) = state.in_force() else {
        return 0;
    };
    let open = limits.terms().open_to_trees();
    let free = open.saturating_sub(state.committed());
    // Of a small cap no more than half.
    let wanted = near::slots(config).min(open / 2);
    wanted.saturating_sub(free)
}

fn rank(ground: Ground) -> u8 {
    match ground {
        Ground::Orphan => 0,
        Ground::NoWriter => 1,
        Ground::IdleDuplicate(_) => 2,
        Ground::Storming => 3,
        Ground::Expendable => 4,
        Ground::Zombies => 5,
        Ground::Biggest => 6,
        Ground::Oldest => 7,
        Ground::Count => 8,
        Ground::Guest => 9,
    }
}

fn candidates<'a>(
    state: &'a TargetState,
    config: &TargetConfig,
    now: Stamp,
    urgency: Urgency,
) -> Vec<Candidate<'a>> {
    let spared = protected(state, config);
    let beyond: BTreeSet<u64> = excess::beyond(state, config)
        .map(|(tree, _)| tree.id)
        .collect();
    let youngest = youngest(state);
    let storming = storming(state, &beyond);
    let all = state.trees().all().iter();
    let free = all.filter(|tree| {
        !spared.contains(&tree.id)
            && state.ends().by(tree.id).is_none()
            && !state.ends().is_spared(tree.id, now.boot_ns)
    });
    let judged = free.filter_map(|tree| {
        let seen = state.watched().tree(tree.id);
        let what = About {
            tree,
            is_beyond: beyond.contains(&tree.id),
            is_youngest: youngest.contains(&tree.id),
            is_storming: storming.contains(&tree.id),
            is_expendable: is_expendable(tree, state, config),
        };
        let ground = ground(&what, state, config, now, urgency)?;
        Some(Candidate {
            tree,
            ground,
            idle_s: seen.map_or(0, |seen| seen.idle_s(now.boot_ns)),
            memory: seen.map_or(0, |seen| seen.evidence.memory_bytes),
        })
    });
    judged.collect()
}

/// A tree, and how it stands to others.
struct About<'a> {
    tree: &'a TreeSeen,
    is_beyond: bool,
    is_youngest: bool,
    is_storming: bool,
    is_expendable: bool,
}

/// The strongest reason to end a tree, where there is one.
fn ground(
    about: &About<'_>,
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
    urgency: Urgency,
) -> Option<Ground> {
    let tree = about.tree;
    let seen = state.watched().tree(tree.id)?;
    let emergency = urgency.level >= Level::Emergency && urgency.pressed_ns.is_some();
    match tree.kind {
        TreeKind::Open => return None,
        // The gateway's own shell pipelines come from inside; what came from outside ends when whoever
        // ran it is gone, or in an emergency.
        TreeKind::Guests => {
            return match seen.evidence.writer {
                Writer::Gone => Some(Ground::NoWriter),
                _ => emergency.then_some(Ground::Guest),
            };
        }
        TreeKind::Tree => {}
    }
    let gone = seen.evidence.writer == Writer::Gone;
    if seen.evidence.orphan || gone {
        // It may be on its way out by itself.
        let settled = now.boot_ns >= tree.active_ns.saturating_add(BOOTS_NS / 10);
        let ground = if gone {
            Ground::NoWriter
        } else {
            Ground::Orphan
        };
        return settled.then_some(ground);
    }
    let all = urgency.strict && config.tiers.nuclear_monitor.scope == Scope::All;
    if urgency.strict && (about.is_beyond || all) {
        return Some(Ground::Count);
    }
    let boots = now.boot_ns < tree.active_ns.max(tree.born_ns).saturating_add(BOOTS_NS);
    if about.is_youngest || boots || !about.is_beyond {
        return None;
    }
    let idle_s = seen.idle_s(now.boot_ns);
    if idle_s >= pressure::idle_after(urgency.pressed_ns, config, now).as_secs() {
        return Some(Ground::IdleDuplicate(idle_s));
    }
    if !emergency {
        return None;
    }
    Some(match (about.is_storming, about.is_expendable) {
        (true, _) => Ground::Storming,
        (false, true) => Ground::Expendable,
        (false, false) if seen.evidence.memory_bytes > 0 => Ground::Biggest,
        (false, false) => Ground::Oldest,
    })
}

/// Trees in which somebody is protected, or is more than a member.
fn protected(state: &TargetState, config: &TargetConfig) -> BTreeSet<u64> {
    let all = state.kin().all().filter(|one| {
        let line = one.argv.join(" ");
        let role = one.place.role();
        !matches!(role, Role::Member | Role::Guest)
            || config.protect.iter().any(|p| p.is_match(&line))
    });
    all.map(|one| one.place.tree())
        .filter(|id| *id != 0)
        .collect()
}

fn is_expendable(tree: &TreeSeen, state: &TargetState, config: &TargetConfig) -> bool {
    let root = state.kin().get(tree.root);
    root.is_some_and(|root| {
        let line = root.argv.join(" ");
        config.expendable.iter().any(|p| p.is_match(&line))
    })
}

/// Of each family the tree that was made last: MetaMCP's idle one.
fn youngest(state: &TargetState) -> BTreeSet<u64> {
    let mut found: BTreeMap<&str, &TreeSeen> = BTreeMap::new();
    for (tree, family) in state.trees().with_families(state.kin()) {
        let known = found.entry(family).or_insert(tree);
        if tree.born_ns > known.born_ns {
            *known = tree;
        }
    }
    found.into_values().map(|tree| tree.id).collect()
}

/// Trees beyond what is healthy of the family that has most of them.
fn storming(state: &TargetState, beyond: &BTreeSet<u64>) -> BTreeSet<u64> {
    let mut families: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (tree, family) in state.trees().with_families(state.kin()) {
        if beyond.contains(&tree.id) {
            families.entry(family).or_default().insert(tree.id);
        }
    }
    let most = families.into_values().max_by_key(BTreeSet::len);
    most.unwrap_or_default()
}
