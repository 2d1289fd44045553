//! What was seen of trees when they were looked at, and since when each is idle.

use crate::model::evidence::{TreeEvidence, Zombies};
use crate::model::{Action, Decision, Evidence, ProcessKey};
use std::collections::BTreeMap;

/// A look without an answer is asked for again after so long, in ns.
const ANSWER_NS: u64 = 30_000_000_000;

/// A look that came to nothing is asked for again after so long, in ns: at once it would be asked for
/// with every input.
const MISSED_NS: u64 = 5_000_000_000;

/// A parent is reminded of its zombies again after so long, in ns, if there are more of them by then;
/// and if there are not, after an hour: node as a container's init never waits for them.
const REMINDED_NS: [u64; 2] = [60_000_000_000, 3_600_000_000_000];

/// Of one target's trees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    trees: BTreeMap<u64, Seen>,
    zombies: Vec<Zombies>,
    /// When it was looked last, ns of CLOCK_BOOTTIME.
    looked_ns: Option<u64>,
    /// When a look was decided that has no answer yet, or came to nothing.
    asked_ns: Option<u64>,
    missed: bool,
    /// Parents that were reminded of their zombies: when, and of how many.
    reminded: BTreeMap<ProcessKey, (u64, u64)>,
    fresh: bool,
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

    /// Whether it was looked since the policy judged what was seen.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether an answer is still to be waited for at `now_ns`, or a look came to nothing just now.
    #[must_use]
    pub fn waits(&self, now_ns: u64) -> bool {
        let wait = if self.missed { MISSED_NS } else { ANSWER_NS };
        self.asked_ns
            .is_some_and(|asked| now_ns < asked.saturating_add(wait))
    }

    /// Whether a parent is to be reminded of its zombies at `now_ns`.
    #[must_use]
    pub fn is_to_be_reminded(&self, zombies: &Zombies, now_ns: u64) -> bool {
        let Some((at, count)) = self.reminded.get(&zombies.parent) else {
            return true;
        };
        let [grown, same] = REMINDED_NS;
        let wait = if zombies.count > *count { grown } else { same };
        now_ns >= at.saturating_add(wait)
    }

    /// The policy has judged what was seen, and this is to be done.
    pub fn decided(&mut self, decisions: &[Decision], at_ns: u64) {
        self.fresh = false;
        for decision in decisions {
            if let Action::Nudge {
                parent, zombies, ..
            } = &decision.action
            {
                self.reminded.insert(*parent, (at_ns, *zombies));
            }
        }
    }

    /// A look was decided.
    pub const fn asked(&mut self, at_ns: u64) {
        self.asked_ns = Some(at_ns);
        self.missed = false;
    }

    /// It came to nothing.
    pub const fn unanswered(&mut self, at_ns: u64) {
        self.asked_ns = Some(at_ns);
        self.missed = true;
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
        let parents = &evidence.zombies;
        self.reminded
            .retain(|parent, _| parents.iter().any(|one| one.parent == *parent));
        self.looked_ns = Some(at_ns);
        self.asked_ns = None;
        self.missed = false;
        self.fresh = true;
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
