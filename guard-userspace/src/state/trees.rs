//! Trees as they were last seen, and how large those of each family become.

use super::kin::Kin;
use super::sizes::Sizes;
use crate::model::kin::{TreeKind, TreeSeen};
use std::collections::{BTreeMap, BTreeSet};

/// What a tree is called whose root's program was never seen.
pub const UNKNOWN: &str = "unknown";

/// So long after its last fork or exec a tree has the size that it will have, in ns. (The last fork
/// of 20 npx trees that boot together came up to 58 s after their roots', with none for more than
/// 10 s in between: workload.md.)
const GROWN_NS: u64 = 20_000_000_000;

/// Families whose sizes are remembered beyond those that are there: a program may call itself
/// anything.
const REMEMBERED: usize = 256;

/// Trees of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trees {
    seen: Vec<TreeSeen>,
    sizes: BTreeMap<String, Sizes>,
    noted: BTreeSet<u64>,
    fresh: bool,
    /// `tree.settle`, where it is known.
    settle_ns: Option<u64>,
}

/// What a family's trees take together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Their processes.
    pub processes: u64,
    /// Their slots: processes, and what is reserved for more.
    pub slots: u64,
    /// The roots' pids, the oldest first: one for each tree.
    pub roots: Vec<u32>,
}

impl Trees {
    /// None yet, of a target whose trees may be settled after so long without fork or exec.
    #[must_use]
    pub fn settling_after(settle_ns: u64) -> Self {
        Self {
            settle_ns: Some(settle_ns),
            ..Self::default()
        }
    }

    /// How long a tree must be quiet to have its size: no longer than until it may be settled, which
    /// goes by what its family usually has.
    fn grown_ns(&self) -> u64 {
        self.settle_ns.unwrap_or(GROWN_NS).min(GROWN_NS)
    }

    /// All trees, gateways' remains and guests' entries.
    #[must_use]
    pub fn all(&self) -> &[TreeSeen] {
        &self.seen
    }

    /// Whether they were seen since the policy looked at them last.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The policy has looked at them.
    pub const fn judged(&mut self) {
        self.fresh = false;
    }

    /// The trees alone, each with its family.
    pub fn with_families<'a>(
        &'a self,
        kin: &'a Kin,
    ) -> impl Iterator<Item = (&'a TreeSeen, &'a str)> {
        let trees = self.seen.iter().filter(|tree| tree.kind == TreeKind::Tree);
        trees.map(|tree| {
            let root = kin
                .get(tree.root)
                .filter(|root| root.place.tree() == tree.id);
            let family = root.and_then(|root| root.family.as_deref());
            (tree, family.unwrap_or(UNKNOWN))
        })
    }

    /// What each family holds.
    #[must_use]
    pub fn holdings<'a>(&'a self, kin: &'a Kin) -> BTreeMap<&'a str, Holding> {
        let mut trees: Vec<_> = self.with_families(kin).collect();
        trees.sort_unstable_by_key(|(tree, _)| tree.born_ns);
        let mut all: BTreeMap<&str, Holding> = BTreeMap::new();
        for (tree, family) in trees {
            let holding = all.entry(family).or_default();
            holding.processes += tree.used;
            holding.slots += tree.used.max(tree.reserved);
            holding.roots.push(tree.root);
        }
        all
    }

    /// How large a family's trees become.
    #[must_use]
    pub fn sizes(&self, family: &str) -> Option<&Sizes> {
        self.sizes.get(family)
    }

    /// Takes what is there now.
    pub fn see(&mut self, seen: &[TreeSeen], kin: &Kin, now_ns: u64) {
        self.seen = seen.to_vec();
        self.fresh = true;
        self.noted
            .retain(|id| seen.iter().any(|tree| tree.id == *id));
        let grown_ns = self.grown_ns();
        let grown: Vec<(u64, u64, String)> = self
            .with_families(kin)
            .filter(|(tree, family)| {
                *family != UNKNOWN
                    && now_ns >= tree.active_ns.saturating_add(grown_ns)
                    && !self.noted.contains(&tree.id)
            })
            .map(|(tree, family)| (tree.id, tree.used, family.to_owned()))
            .collect();
        for (id, used, family) in grown {
            self.noted.insert(id);
            self.sizes.entry(family).or_default().note(used);
        }
        if self.sizes.len() > REMEMBERED {
            let there: BTreeSet<String> = self
                .with_families(kin)
                .map(|(_, family)| family.to_owned())
                .collect();
            self.sizes.retain(|family, _| there.contains(family));
        }
    }

    /// Nothing is there any more. What is known of sizes stays.
    pub fn clear(&mut self) {
        self.seen.clear();
        self.noted.clear();
    }
}
