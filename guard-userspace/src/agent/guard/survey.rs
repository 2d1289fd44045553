//! Looks at all of a target: at its arming, and where not all that happened to it was seen.

use super::Guard;
use crate::agent::clock;
use crate::evidence::{process, tree};
use crate::model::kin::{Found, Survey, TreeSeen};
use crate::model::{InputKind, ProcessKey, Stamp, TargetId};
use guard_common::tree::Place;
use std::collections::BTreeMap;
use std::path::Path;

/// Most surveys in a row: each moves what the one before could not, since a process joins a tree
/// only after that is there.
const ROUNDS: usize = 8;

impl Guard {
    /// Surveys a target until there is nothing to be moved.
    pub(super) fn survey(&mut self, id: TargetId) {
        let up = self.places.get(id).and_then(|place| place.up.as_ref());
        let Some((dir, told)) = up.map(|up| (up.dir.clone(), up.init)) else {
            return;
        };
        let init = told.or_else(|| self.first_of_spine(id));
        let mut before: BTreeMap<u32, u64> = BTreeMap::new();
        for _ in 0..ROUNDS {
            let processes = self.found(id, &dir);
            let places = |one: &Found| (one.process.pid, one.place.0);
            let now: BTreeMap<u32, u64> = processes.iter().map(places).collect();
            if now == before {
                return;
            }
            before = now;
            let survey = Survey {
                processes,
                trees: self.kernel.tables.trees().remove(&id.0).unwrap_or_default(),
                init,
            };
            self.step(clock::now(), id, InputKind::Surveyed(survey));
        }
        tracing::debug!(target = super::named(self.places.get(id)), "still moving");
    }

    /// The oldest process of the spine: the init, once the runtime's own stages have ended.
    fn first_of_spine(&self, id: TargetId) -> Option<u32> {
        let kin = self.engine.target(id)?.state.kin();
        let spine = kin.all().filter(|one| one.place.is_spine());
        spine.min_by_key(|one| one.born_ns).map(|one| one.key.pid)
    }

    /// Its watched processes, as /proc and the kernel side show them now.
    fn found(&self, id: TargetId, dir: &Path) -> Vec<Found> {
        let pids = tree::all_pids(dir).into_iter();
        pids.filter_map(|pid| self.found_one(id, pid)).collect()
    }

    fn found_one(&self, id: TargetId, pid: u32) -> Option<Found> {
        let entry = self.kernel.tables.process(pid)?;
        let seen = process::kin(pid)?;
        let ticks = process::ticks(entry.start_ns);
        (entry.slot == id.0 && ticks == seen.start_ticks).then_some(Found {
            process: ProcessKey {
                pid,
                start_ticks: ticks,
            },
            parent: seen.parent,
            session: seen.session,
            argv: seen.argv,
            place: Place(entry.place),
        })
    }

    /// These are a target's trees now.
    pub(super) fn see_trees(&mut self, now: Stamp, id: TargetId, seen: Vec<TreeSeen>) {
        let committed = match self.kernel.tables.gate(id.0) {
            Ok(gate) => gate.committed,
            Err(_) => self
                .engine
                .target(id)
                .map_or(0, |target| target.state.committed()),
        };
        self.step(now, id, InputKind::Trees { seen, committed });
    }

    /// Takes a look at the trees of all targets, where anything happened since the last one.
    pub(super) fn look_at_trees(&mut self, now: Stamp) {
        let busy: Vec<TargetId> = self
            .engine
            .targets()
            .filter(|(_, target)| target.state.cgroup().is_some())
            .filter(|(_, target)| !target.state.trees().all().is_empty() || has_trees(target))
            .map(|(id, _)| id)
            .collect();
        if busy.is_empty() {
            return;
        }
        let mut trees = self.kernel.tables.trees();
        for id in busy {
            let seen = trees.remove(&id.0).unwrap_or_default();
            self.see_trees(now, id, seen);
        }
    }
}

fn has_trees(target: &crate::engine::Target) -> bool {
    let counters = target.state.counters();
    counters.trees > 0 || counters.guests > 0
}
