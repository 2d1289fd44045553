//! Which target is within which, as cgroups come and go, and what the outer ones count by that.

use super::Guard;
use crate::agent::clock;
use crate::agent::contents::Contents;
use crate::evidence::tree;
use crate::kernel::carried::Carried;
use crate::model::{CgroupId, InputKind, Stamp, TargetId};
use guard_common::TargetCounters;
use guard_common::abi::CANARY_SLOT;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What each target had counted under another build, those within it included.
pub(super) fn of_another_build(carried: &Carried) -> BTreeMap<String, TargetCounters> {
    let contents = Contents::of(carried.inside.clone());
    let counters = |id: TargetId| carried.counters.get(&id.0).copied();
    let all = carried.owners.iter().filter_map(|(slot, name)| {
        let own = carried.counters.get(slot)?;
        Some((
            name.clone(),
            contents.whole(TargetId(*slot), own, true, counters),
        ))
    });
    all.collect()
}

impl Guard {
    /// A target goes on from that.
    pub(super) fn goes_on_from(&mut self, id: TargetId, earlier: &TargetCounters) {
        self.contents.goes_on_from(id, earlier);
        self.keep_contents(id);
    }

    /// A target's counts, `own` by the kernel side, with those of the targets within it.
    pub(in crate::agent) fn whole(&self, id: TargetId, own: &TargetCounters) -> TargetCounters {
        let is_up = self.places.get(id).is_some_and(|place| place.up.is_some());
        let counters = |id: TargetId| self.kernel.tables.counters(id.0).ok();
        self.contents.whole(id, own, is_up, counters)
    }

    /// Names of the targets within a target, while they are counted.
    pub(in crate::agent) fn names_within(&self, id: TargetId) -> Vec<String> {
        let places = self.contents.inner(id).filter_map(|id| self.places.get(id));
        let up = places.filter(|place| place.up.is_some());
        up.map(|place| place.config.name.clone()).collect()
    }

    /// Takes what the kernel side wrote of a target. Counts of one that has others within it are taken at
    /// the next tick, with theirs.
    pub(super) fn take(&mut self, at: Stamp, id: TargetId, mut kind: InputKind) {
        if let InputKind::Rate { counters, .. } = &mut kind {
            if self.contents.inner(id).next().is_some() {
                return;
            }
            *counters = self.whole(id, counters);
        }
        self.step(at, id, kind);
    }

    /// Says what targets with others within them have counted, where that is news: of a second in which
    /// only those others were busy the kernel side writes nothing for them.
    pub(super) fn sample_outers(&mut self, now: Stamp) {
        let outers: Vec<TargetId> = self.contents.outers().collect();
        for id in outers {
            let is_up = self.places.get(id).is_some_and(|place| place.up.is_some());
            let Some(target) = self.engine.target(id).filter(|_| is_up) else {
                continue;
            };
            let own = self.kernel.tables.counters(id.0);
            let (Ok(own), Ok(gate)) = (own, self.kernel.tables.gate(id.0)) else {
                continue;
            };
            let counters = self.whole(id, &own);
            if *target.state.counters() == counters {
                continue;
            }
            let kind = InputKind::Rate {
                second: now.second(),
                committed: gate.committed,
                counters,
            };
            self.step(now, id, kind);
        }
    }

    /// A slot is a target's: what it has counted so far was counted somewhere else.
    pub(super) fn counts_nowhere(&mut self, id: TargetId) {
        if let Ok(counters) = self.kernel.tables.counters(id.0) {
            self.contents.is_nowhere(id, &counters);
        }
    }

    /// A target is counted in its cgroup from now on, which may be in another one's, or have others in it.
    pub(super) fn find_contents(&mut self, id: TargetId) {
        let Some(up) = self.places.get(id).and_then(|place| place.up.clone()) else {
            return;
        };
        let around = self.around(id, &up.dir);
        let was_around: Vec<TargetId> = self.contents.around(id).collect();
        let before = self.contents.before(id);
        for outer in was_around {
            if !around.contains(&outer) {
                self.contents.part(outer, id, &before);
                self.keep_contents(outer);
            }
        }
        for outer in around {
            self.contents.join(outer, id, &before);
            self.keep_contents(outer);
        }
        let others: Vec<(TargetId, bool)> = self
            .places
            .iter()
            .filter(|(other, _)| *other != id)
            .filter_map(|(other, place)| Some((other, place.up.as_ref()?.dir.clone())))
            .map(|(other, dir)| (other, dir != up.dir && dir.starts_with(&up.dir)))
            .collect();
        for (inner, is_within) in others {
            let Ok(counters) = self.kernel.tables.counters(inner.0) else {
                continue;
            };
            if is_within {
                self.contents.join(id, inner, &counters);
            } else {
                self.contents.part(id, inner, &counters);
            }
        }
        self.keep_contents(id);
    }

    /// A target is counted nowhere any more: whatever is within it is not counted in it.
    pub(super) fn lose_contents(&mut self, id: TargetId) {
        self.counts_nowhere(id);
        let inner: Vec<TargetId> = self.contents.inner(id).collect();
        for inner in inner {
            if let Ok(counters) = self.kernel.tables.counters(inner.0) {
                self.contents.part(id, inner, &counters);
            }
        }
        self.keep_contents(id);
    }

    /// Counts nothing more of a cgroup for a target; gives the slot of the one that counts it now.
    pub(super) fn release(&mut self, id: TargetId, dir: &Path, cgroup: CgroupId) -> Option<u32> {
        match self.kernel.release(id.0, dir, cgroup.0, &self.v2_mount) {
            Ok(heir) => heir,
            Err(error) => {
                tracing::warn!(%error, "what still runs in {} is counted on", dir.display());
                None
            }
        }
    }

    /// Another target has what a target within it has let go of.
    pub(super) fn has_inherited(&mut self, heir: Option<u32>) {
        let Some(heir) = heir.map(TargetId) else {
            return;
        };
        if self
            .places
            .get(heir)
            .is_some_and(|place| place.up.is_some())
        {
            self.survey(heir);
            self.sample_outers(clock::now());
        }
    }

    /// Targets in whose cgroups, as the kernel side has them, a directory is.
    fn around(&self, id: TargetId, dir: &Path) -> BTreeSet<TargetId> {
        let above = dir.ancestors().skip(1);
        let above = above.take_while(|dir| dir.starts_with(&self.v2_mount));
        let slots = above.filter_map(|dir| self.kernel.tables.slot_of(tree::id(dir).ok()?));
        let others = slots.filter(|slot| *slot != id.0 && *slot != CANARY_SLOT);
        others.map(TargetId).collect()
    }

    fn keep_contents(&mut self, id: TargetId) {
        let inside = self.contents.inside(id);
        if let Err(error) = self.kernel.tables.set_inside(id.0, &inside) {
            tracing::debug!(%error, "a later agent will not know what is within this target");
        }
    }
}
