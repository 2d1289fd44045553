//! Which trees are to end: whole ones, by what speaks against them (`ground.rs`), and no more than
//! brings the target where it is to be. Whether each may be ended is the rails' to say.

use super::ground::{self, Judge};
use super::{near, operator};
use crate::config::TargetConfig;
use crate::model::evidence::Ground;
use crate::model::kin::{TreeKind, TreeSeen};
use crate::model::{Ending, How, Level, Stamp};
use crate::state::TargetState;
use core::cmp::Reverse;

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

impl Urgency {
    /// An emergency while spawns are refused or memory runs out: no evidence is needed then.
    #[must_use]
    pub fn is_dire(&self) -> bool {
        self.level >= Level::Emergency && self.pressed_ns.is_some()
    }
}

/// How much is to end: so long as any of these is not reached the search goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Live processes. (Those of guests are none.)
    pub processes: u64,
    /// Slots of the cap. (Guests have none.)
    pub slots: u64,
    /// Trees, guests' too: each gives memory back.
    pub trees: u64,
}

impl Want {
    /// All that may.
    pub const ALL: Self = Self {
        processes: u64::MAX,
        slots: 0,
        trees: 0,
    };

    fn is_met_by(&self, found: &Self) -> bool {
        found.processes >= self.processes && found.slots >= self.slots && found.trees >= self.trees
    }

    fn add(&mut self, tree: &TreeSeen) {
        self.trees = self.trees.saturating_add(1);
        if tree.kind == TreeKind::Tree {
            self.processes = self.processes.saturating_add(tree.used);
            let slots = tree.used.max(tree.reserved);
            self.slots = self.slots.saturating_add(slots);
        }
    }
}

/// A tree that may be chosen.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    tree: &'a TreeSeen,
    ground: Ground,
    is_beyond: bool,
    idle_s: u64,
    memory: u64,
}

impl Candidate<'_> {
    /// Those that end first are least: by ground, what is more than healthy before what is not, then
    /// the longest idle (of what is chosen for its size the biggest), then the oldest.
    fn order(&self) -> impl Ord + use<> {
        let by = match self.ground {
            Ground::Biggest => (self.memory, self.idle_s),
            _ => (self.idle_s, self.memory),
        };
        let tree = (self.tree.born_ns, self.tree.id);
        (rank(self.ground), !self.is_beyond, Reverse(by), tree)
    }
}

/// Whatever has something against it, in the order in which it is to end, until as much is found as is
/// wanted. What is being ended already, or was said a moment ago that it would be, is part of that.
#[must_use]
pub fn choose(
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
    urgency: Urgency,
    want: Want,
) -> Vec<Ending> {
    let mut found = Want::default();
    let all = state.trees().all().iter();
    all.filter(|tree| state.ends().counts_as_gone(tree.id, now.boot_ns))
        .for_each(|tree| found.add(tree));
    if want.is_met_by(&found) {
        return Vec::new();
    }
    let mut candidates = candidates(state, config, now, urgency);
    candidates.sort_by_key(Candidate::order);
    // One second and SIGKILL is for emergencies: MetaMCP counts that as a crash.
    let how = if urgency.is_dire() || urgency.strict && urgency.level >= Level::Emergency {
        How::Force
    } else {
        How::End
    };
    let mut left = budget(state, config, now);
    let mut ends = Vec::new();
    for one in candidates {
        if want.is_met_by(&found) {
            break;
        }
        let Some(rest) = left.checked_sub(one.tree.used) else {
            continue;
        };
        left = rest;
        found.add(one.tree);
        ends.push(Ending {
            how,
            ground: Some(one.ground),
            ..operator::ending(state, one.tree.id, one.tree.root)
        });
    }
    ends
}

/// What an operator's cleanup ends: all servers that have evidence against them, as under pressure.
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
    let mut ends = choose(state, config, now, urgency, Want::ALL);
    // What came from outside is no operator's to end here.
    let all = state.trees().all();
    let is_server = |id| {
        all.iter()
            .any(|tree| tree.id == id && tree.kind == TreeKind::Tree)
    };
    ends.retain(|ending| is_server(ending.tree));
    ends
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

const fn rank(ground: Ground) -> u8 {
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
    config: &'a TargetConfig,
    now: Stamp,
    urgency: Urgency,
) -> Vec<Candidate<'a>> {
    let judge = Judge::new(state, config, now, urgency);
    let spared = ground::protected(state, config);
    let all = state.trees().all().iter();
    let free = all.filter(|tree| {
        !spared.contains(&tree.id)
            && state.ends().by(tree.id).is_none()
            && !state.ends().is_spared(tree.id, now.boot_ns)
    });
    let judged = free.filter_map(|tree| {
        let seen = state.watched().tree(tree.id)?;
        Some(Candidate {
            tree,
            ground: judge.ground(tree, seen)?,
            is_beyond: judge.is_beyond(tree.id),
            idle_s: seen.idle_s(now.boot_ns),
            memory: seen.evidence.memory_bytes,
        })
    });
    judged.collect()
}
