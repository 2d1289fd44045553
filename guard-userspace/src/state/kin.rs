//! The processes that roles and families come from: the spine, roots, what entered. The kernel side
//! never samples their records away.

use crate::model::kin::{Birth, Survey};
use crate::model::{Placed, ProcessKey};
use guard_common::tree::{Place, Role};
use std::collections::{BTreeMap, BTreeSet};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relative {
    /// The process.
    pub key: ProcessKey,
    /// Its parent's thread-group id; 0: entered from outside.
    pub parent: u32,
    /// What it is and whose slot it has.
    pub place: Place,
    /// How it came.
    pub birth: Birth,
    /// When it came, ns of CLOCK_BOOTTIME.
    pub born_ns: u64,
    /// What it executed last, masked; empty until it did.
    pub argv: Vec<String>,
    /// When it did.
    pub execed_ns: u64,
    /// Its family, once it is known.
    pub family: Option<String>,
}

/// All of them, by pid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kin {
    all: BTreeMap<u32, Relative>,
    news: BTreeSet<u32>,
    /// Each with its parent before it: a target of 65,536 processes is not gone through for each of them.
    children: BTreeSet<(u32, u32)>,
    /// How many there are of each family.
    families: BTreeMap<String, usize>,
}

impl Kin {
    /// One of them.
    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Relative> {
        self.all.get(&pid)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Relative> {
        self.all.values()
    }

    /// Those of which the policy has not judged the latest.
    pub fn news(&self) -> impl Iterator<Item = &Relative> {
        self.news.iter().filter_map(|pid| self.all.get(pid))
    }

    /// A process was made. Deeper members of trees are not kept.
    pub fn born(&mut self, key: ProcessKey, parent: u32, place: Place, birth: Birth, at_ns: u64) {
        let spine = matches!(place.role(), Role::Wrapper | Role::Gateway);
        if !spine && birth == Birth::Forked || place.role() == Role::Nobody {
            return;
        }
        // Of what was surveyed since then the record comes late, and says what it was before.
        if self.get(key.pid).is_some_and(|known| known.key == key) {
            return;
        }
        self.put(Relative {
            key,
            parent,
            place,
            birth,
            born_ns: at_ns,
            argv: Vec::new(),
            execed_ns: 0,
            family: None,
        });
    }

    fn put(&mut self, relative: Relative) {
        let pid = relative.key.pid;
        self.take(pid);
        self.children.insert((relative.parent, pid));
        if let Some(family) = &relative.family {
            *self.families.entry(family.clone()).or_default() += 1;
        }
        self.all.insert(pid, relative);
        self.news.insert(pid);
    }

    fn take(&mut self, pid: u32) {
        let Some(relative) = self.all.remove(&pid) else {
            return;
        };
        self.news.remove(&pid);
        self.children.remove(&(relative.parent, pid));
        if let Some(family) = &relative.family {
            self.leaves(family);
        }
    }

    fn leaves(&mut self, family: &str) {
        if let Some(number) = self.families.get_mut(family) {
            *number -= 1;
            if *number == 0 {
                self.families.remove(family);
            }
        }
    }

    /// Whether any of them is of that family.
    #[must_use]
    pub fn has_family(&self, family: &str) -> bool {
        self.families.contains_key(family)
    }

    /// One of them executed a program.
    pub fn execed(&mut self, key: ProcessKey, argv: &[String], at_ns: u64) {
        if let Some(relative) = self.named(key) {
            relative.argv = argv.to_vec();
            relative.execed_ns = at_ns;
            self.news.insert(key.pid);
        }
    }

    /// A process ended.
    pub fn ended(&mut self, key: ProcessKey) {
        if self.named(key).is_some() {
            self.take(key.pid);
        }
    }

    /// One of them was put elsewhere. Its children may be elsewhere by that, too.
    pub fn moved(&mut self, placed: Placed) {
        let key = placed.process;
        if let Some(relative) = self.named(key) {
            relative.place = placed.place;
            if placed.is_root {
                relative.birth = Birth::Root;
                self.news.insert(key.pid);
            }
            let children = self.children.range((key.pid, 0)..=(key.pid, u32::MAX));
            self.news.extend(children.map(|(_, child)| *child));
        }
    }

    /// All that is there: what is not among it is gone.
    pub fn surveyed(&mut self, survey: &Survey, at_ns: u64) {
        let mut before = std::mem::take(self).all;
        let roots: BTreeSet<(u64, u32)> = survey.trees.iter().map(|it| (it.id, it.root)).collect();
        for found in &survey.processes {
            let known = before.remove(&found.process.pid);
            let known = known.filter(|known| known.key == found.process);
            let is_root = roots.contains(&(found.place.tree(), found.process.pid));
            let birth = if is_root { Birth::Root } else { Birth::Forked };
            self.put(Relative {
                key: found.process,
                parent: found.parent,
                place: found.place,
                birth: known.as_ref().map_or(birth, |known| known.birth),
                born_ns: known.as_ref().map_or(at_ns, |known| known.born_ns),
                argv: found.argv.clone(),
                execed_ns: known.as_ref().map_or(at_ns, |known| known.execed_ns),
                family: known.and_then(|known| known.family),
            });
        }
    }

    /// The policy has judged one of them, and found its family.
    pub fn judged(&mut self, pid: u32, family: Option<&str>) {
        self.news.remove(&pid);
        let (Some(relative), Some(family)) = (self.all.get_mut(&pid), family) else {
            return;
        };
        let before = relative.family.replace(family.to_owned());
        *self.families.entry(family.to_owned()).or_default() += 1;
        if let Some(before) = before {
            self.leaves(&before);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn named(&mut self, key: ProcessKey) -> Option<&mut Relative> {
        self.all
            .get_mut(&key.pid)
            .filter(|relative| relative.key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kin::Found;

    const MOST: u32 = 65_536;

    fn key(pid: u32) -> ProcessKey {
        ProcessKey {
            pid,
            start_ticks: 1,
        }
    }

    fn place(tree: u32) -> Place {
        Place::new(Role::Member, u64::from(tree))
    }

    /// As many as can be watched enter, are judged, moved and surveyed: were all of them gone through for
    /// each, this test would take minutes.
    #[test]
    fn as_many_as_can_be_watched_may_enter() {
        let mut kin = Kin::default();
        for pid in 1..=MOST {
            kin.born(key(pid), pid / 2, place(pid), Birth::Entered, 5);
            assert!(!kin.has_family("shell") || pid > 1);
            kin.judged(pid, Some("shell"));
        }
        assert_eq!((kin.all().count(), kin.news().count()), (MOST as usize, 0));
        for pid in 1..=MOST {
            let process = key(pid);
            let (place, is_root) = (place(pid), false);
            kin.moved(Placed {
                process,
                place,
                is_root,
            });
        }
        // All but the first have a parent among them.
        assert_eq!(kin.news().count(), MOST as usize - 1);
        let found = |pid| Found {
            process: key(pid),
            parent: 0,
            session: 0,
            argv: Vec::new(),
            place: place(pid),
        };
        let survey = Survey {
            processes: (1..=MOST).map(found).collect(),
            trees: Vec::new(),
            init: None,
        };
        kin.surveyed(&survey, 6);
        assert_eq!(kin.news().count(), MOST as usize);
        assert!(kin.has_family("shell"));
        for pid in 1..=MOST {
            kin.ended(key(pid));
        }
        assert_eq!(kin, Kin::default());
    }

    #[test]
    fn a_family_is_known_while_one_of_it_lives() {
        let mut kin = Kin::default();
        for pid in [1, 2] {
            kin.born(key(pid), 0, place(pid), Birth::Entered, 5);
            kin.judged(pid, Some("npx x"));
        }
        kin.judged(1, Some("uvx y"));
        assert!(kin.has_family("npx x") && kin.has_family("uvx y"));
        kin.ended(key(2));
        assert!(!kin.has_family("npx x") && kin.has_family("uvx y"));
    }
}
