//! What was seen of trees when they were looked at, and since when each is idle.

use crate::model::Evidence;
use crate::model::evidence::{TreeEvidence, Zombies};
use std::collections::BTreeMap;

/// Of one target's trees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    trees: BTreeMap<u64, Seen>,
    zombies: Vec<Zombies>,
    /// When it was looked last, ns of CLOCK_BOOTTIME.
    looked_ns: Option<u64>,
    /// When a look was decided that has no answer yet.
    asked_ns: Option<u64>,
    /// When one came to nothing last, since when there was none that did not.
    failed_ns: Option<u64>,
}

/// One tree, as it was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What was seen.
    pub evidence: TreeEvidence,
    /// Its leaves have used no CPU time since then, ns of CLOCK_BOOTTIME; never before it was first
    /// looked at.
    pub idle_since_ns: u64,
}

impl Seen {
    /// For how many seconds it is known to be idle at `now_ns`.
    #[must_use]
    pub const fn idle_s(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.idle_since_ns) / 1_000_000_000
    }
}

impl Watched {
    /// A tree, if it was there when it was looked last.
    #[must_use]
    pub fn tree(&self, id: u64) -> Option<&Seen> {
        self.trees.get(&id)
    }

    /// Parents of zombies.
    #[must_use]
    pub fn zombies(&self) -> &[Zombies] {
        &self.zombies
    }

    /// When it was looked last, ns of CLOCK_BOOTTIME.
    #[must_use]
    pub const fn looked_ns(&self) -> Option<u64> {
        self.looked_ns
    }

    /// When a look was decided that has no answer yet, ns of CLOCK_BOOTTIME.
    #[must_use]
    pub const fn asked_ns(&self) -> Option<u64> {
        self.asked_ns
    }

    /// A look was decided.
    pub const fn asked(&mut self, at_ns: u64) {
        self.asked_ns = Some(at_ns);
    }

    /// When a look came to nothing, ns of CLOCK_BOOTTIME; `None`: the last one did not.
    #[must_use]
    pub const fn failed_ns(&self) -> Option<u64> {
        self.failed_ns
    }

    /// It came to nothing.
    pub const fn unanswered(&mut self, at_ns: u64) {
        self.asked_ns = None;
        self.failed_ns = Some(at_ns);
    }

    /// Takes what was seen at `at_ns`.
    pub fn see(&mut self, evidence: &Evidence, at_ns: u64) {
        let before = core::mem::take(&mut self.trees);
        self.trees = evidence
            .trees
            .iter()
            .map(|seen| {
                let known = before.get(&seen.tree);
                let still = known.filter(|known| known.evidence.leaf_cpu_ns == seen.leaf_cpu_ns);
                let idle_since_ns = still.map_or(at_ns, |known| known.idle_since_ns);
                let seen = Seen {
                    evidence: *seen,
                    idle_since_ns,
                };
                (seen.evidence.tree, seen)
            })
            .collect();
        self.zombies.clone_from(&evidence.zombies);
        self.looked_ns = Some(at_ns);
        self.asked_ns = None;
        self.failed_ns = None;
    }

    /// Nothing is there any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::evidence::Writer;

    #[test]
    fn a_tree_is_idle_since_it_was_first_seen_to_do_nothing() {
        let mut watched = Watched::default();
        let mut check = |at_ns, cpu, expected| {
            let tree = TreeEvidence {
                tree: 7,
                leaf_cpu_ns: cpu,
                memory_bytes: 0,
                writer: Writer::There,
                orphan: false,
            };
            let evidence = Evidence {
                trees: vec![tree],
                zombies: Vec::new(),
            };
            watched.see(&evidence, at_ns);
            assert_eq!(watched.tree(7).unwrap().idle_since_ns, expected);
        };
        check(100, 5, 100);
        check(200, 5, 100);
        check(300, 6, 300);
        check(400, 6, 300);
        watched.see(&Evidence::default(), 500);
        assert_eq!(watched.tree(7), None);
    }
}
