//! What speaks against a tree.
//!
//! A count alone ends no live session. Evidence is that whoever asked for a tree is gone, that nobody
//! can write to it any more, that it is idle and one of more than its family's `allowed_instances`, or
//! that it does not wait for its children. In an emergency, while spawns are refused or memory runs out,
//! the rest of what is more than healthy follows. The youngest of a family stays: it is MetaMCP's idle
//! one, whose slot would keep a dead client; and what still starts would be counted as a crash.

use super::victims::Urgency;
use super::{excess, family, pressure};
use crate::config::TargetConfig;
use crate::config::protocol::Scope;
use crate::model::Stamp;
use crate::model::evidence::{Ground, Writer};
use crate::model::kin::{TreeKind, TreeSeen};
use crate::state::TargetState;
use crate::state::trees::UNKNOWN;
use crate::state::watched::Seen;
use guard_common::tree::Role;
use std::collections::{BTreeMap, BTreeSet};

/// So long after its last fork or exec a tree may still be starting, in ns: npx servers boot within
/// it, and MetaMCP would count what ends earlier as a crash (workload.md). Where `tree.settle` is
/// shorter, that is what a start takes.
const BOOTS_NS: u64 = 20_000_000_000;

/// So long after its last fork or exec a tree whose client is gone may be on its way out by itself, in
/// ns: the official servers take 14 ms.
const LEAVES_NS: u64 = 2_000_000_000;

/// What trees are judged by.
pub struct Judge<'a> {
    state: &'a TargetState,
    config: &'a TargetConfig,
    now_ns: u64,
    urgency: Urgency,
    idle_after_s: u64,
    beyond: BTreeSet<u64>,
    youngest: BTreeSet<u64>,
    storming: BTreeSet<u64>,
    /// Of a family that is known to be one.
    known: BTreeSet<u64>,
}

impl<'a> Judge<'a> {
    /// Of a target's trees as they are now.
    #[must_use]
    pub fn new(
        state: &'a TargetState,
        config: &'a TargetConfig,
        now: Stamp,
        urgency: Urgency,
    ) -> Self {
        // Without a gateway nothing is a session's, and all that lives is more than healthy; still it
        // takes an emergency to end what nothing speaks against.
        let is_nobodys = !excess::has_gateway(config) && urgency.is_dire();
        let trees = state.trees().with_families(state.kin());
        let beyond = if is_nobodys {
            trees.map(|(tree, _)| tree.id).collect()
        } else {
            let beyond = excess::beyond(state, config);
            beyond.map(|(tree, _)| tree.id).collect()
        };
        let families = || state.trees().with_families(state.kin());
        let is_one = |family: &str| family != UNKNOWN && family != family::OTHERS;
        Self {
            state,
            config,
            now_ns: now.boot_ns,
            urgency,
            idle_after_s: pressure::idle_after(urgency.pressed_ns, config, now).as_secs(),
            storming: storming(state, &beyond),
            beyond,
            youngest: if is_nobodys {
                BTreeSet::new()
            } else {
                youngest(state)
            },
            known: families()
                .filter(|(_, family)| is_one(family))
                .map(|(tree, _)| tree.id)
                .collect(),
        }
    }

    /// Whether it is more than what is healthy.
    #[must_use]
    pub fn is_beyond(&self, tree: u64) -> bool {
        self.beyond.contains(&tree)
    }

    /// The strongest reason to end a tree, where there is one.
    #[must_use]
    pub fn ground(&self, tree: &TreeSeen, seen: &Seen) -> Option<Ground> {
        match tree.kind {
            TreeKind::Open => None,
            TreeKind::Guests => self.of_guests(seen),
            TreeKind::Tree => self
                .of_abandoned(tree, seen)
                .or_else(|| self.of_server(tree, seen))
                .or_else(|| self.by_count(tree)),
        }
    }

    /// What came from outside: when whoever ran it is gone, or in an emergency.
    fn of_guests(&self, seen: &Seen) -> Option<Ground> {
        match seen.evidence.writer {
            Writer::Gone => Some(Ground::NoWriter),
            _ => self.urgency.is_dire().then_some(Ground::Guest),
        }
    }

    /// The youngest too: there is nobody whose slot it could keep.
    fn of_abandoned(&self, tree: &TreeSeen, seen: &Seen) -> Option<Ground> {
        if self.now_ns < tree.active_ns.saturating_add(LEAVES_NS) {
            return None;
        }
        match seen.evidence.writer {
            _ if seen.evidence.orphan => Some(Ground::Orphan),
            Writer::Gone => Some(Ground::NoWriter),
            Writer::There | Writer::Unknown => None,
        }
    }

    fn of_server(&self, tree: &TreeSeen, seen: &Seen) -> Option<Ground> {
        let (is_beyond, is_dire) = (self.is_beyond(tree.id), self.urgency.is_dire());
        if self.youngest.contains(&tree.id) || self.boots(tree) {
            return None;
        }
        let idle_s = seen.idle_s(self.now_ns);
        if is_beyond && self.known.contains(&tree.id) && idle_s >= self.idle_after_s {
            return Some(Ground::IdleDuplicate(idle_s));
        }
        let all = self.config.tiers.nuclear_monitor.scope == Scope::All;
        match (is_dire, is_beyond) {
            (true, true) if self.storming.contains(&tree.id) => Some(Ground::Storming),
            (true, _) if self.is_expendable(tree) => Some(Ground::Expendable),
            _ if self.has_many_zombies(tree) => Some(Ground::Zombies),
            (true, true) if seen.evidence.memory_bytes > 0 => Some(Ground::Biggest),
            (true, true) => Some(Ground::Oldest),
            (true, false) if all => Some(Ground::Count),
            _ => None,
        }
    }

    /// `strict`: whatever is more than healthy, were it starting, but the youngest; with scope "all"
    /// every unprotected tree, as the operators' protocol has it.
    fn by_count(&self, tree: &TreeSeen) -> Option<Ground> {
        let all = self.config.tiers.nuclear_monitor.scope == Scope::All;
        let is_more = self.is_beyond(tree.id) && !self.youngest.contains(&tree.id);
        (self.urgency.strict && (all || is_more)).then_some(Ground::Count)
    }

    fn boots(&self, tree: &TreeSeen) -> bool {
        let last = tree.active_ns.max(tree.born_ns);
        let settle = self.config.gate.tree.settle.as_nanos();
        let settle = u64::try_from(settle).unwrap_or(u64::MAX);
        self.now_ns < last.saturating_add(BOOTS_NS.min(settle))
    }

    fn is_expendable(&self, tree: &TreeSeen) -> bool {
        let root = self.state.kin().get(tree.root);
        root.is_some_and(|root| {
            let line = root.argv.join(" ");
            self.config.expendable.iter().any(|p| p.is_match(&line))
        })
    }

    /// Somebody in it is the parent of more than `zombie_limit`.
    fn has_many_zombies(&self, tree: &TreeSeen) -> bool {
        let all = self.state.watched().zombies().iter();
        let many = all.filter(|zombies| zombies.count > self.config.end.zombie_limit);
        let mut parents = many.filter_map(|zombies| self.state.kin().get(zombies.parent.pid));
        parents.any(|parent| parent.place.tree() == tree.id)
    }
}

/// Trees in which somebody is protected, or is more than a member.
#[must_use]
pub fn protected(state: &TargetState, config: &TargetConfig) -> BTreeSet<u64> {
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
