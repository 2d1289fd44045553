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
        self.all.insert(pid, relative);
        self.news.insert(pid);
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
            self.all.remove(&key.pid);
            self.news.remove(&key.pid);
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
            let children = self.all.values().filter(|one| one.parent == key.pid);
            self.news.extend(children.map(|one| one.key.pid));
        }
    }

    /// All that is there: what is not among it is gone.
    pub fn surveyed(&mut self, survey: &Survey, at_ns: u64) {
        let mut before = std::mem::take(&mut self.all);
        self.news.clear();
        for found in &survey.processes {
            let known = before.remove(&found.process.pid);
            let known = known.filter(|known| known.key == found.process);
            let is_root = survey
                .trees
                .iter()
                .any(|tree| tree.id == found.place.tree() && tree.root == found.process.pid);
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
        if let (Some(relative), Some(family)) = (self.all.get_mut(&pid), family) {
            relative.family = Some(family.to_owned());
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
