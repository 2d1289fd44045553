//! One round over the targets: which mounts their members see, each marked; and what the round before
//! had marked and this one has not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;

use super::Covered;
use super::group::{Group, Place};
use super::mountinfo::Kind;
use super::view::{Seer, View};

/// Members of a view that are remembered, to find its mounts again when they are to be unmarked.
const REMEMBERED: usize = 8;

/// What one round found.
#[derive(Debug, Default)]
pub struct Round {
    /// Mounts that are marked, by id, and who sees them.
    pub marked: BTreeMap<u64, View>,
    /// What it is told of.
    pub covered: Covered,
    /// Some of those who see a view.
    seers: BTreeMap<View, Vec<u32>>,
}

impl Round {
    /// Marks what a member sees, unless another one has shown it already.
    pub fn look(
        &mut self,
        group: &Group,
        host: &BTreeSet<u64>,
        target: u32,
        pid: u32,
        seer: &Seer,
    ) {
        // It has ended: it executes nothing any more.
        let Ok(view) = seer.view() else { return };
        if host.contains(&view.namespace) {
            self.covered.on_host.insert(target);
        }
        if let Some(seers) = self.seers.get_mut(&view) {
            if seers.len() < REMEMBERED {
                seers.push(pid);
            }
        } else if self.mark_all(group, seer, view).is_ok() {
            self.seers.insert(view, vec![pid]);
        }
    }

    /// An error: the process ended meanwhile, and another may show the same.
    fn mark_all(&mut self, group: &Group, seer: &Seer, view: View) -> io::Result<()> {
        let mounts = seer.mounts()?;
        let root = seer.root()?;
        let counts = &mut self.covered;
        for mount in &mounts {
            match mount.kind {
                Kind::Noexec => counts.noexec += 1,
                Kind::Remote => counts.remote += 1,
                Kind::Local => match root.mount(mount) {
                    Ok(found) => match group.mark(Place::Mount, found.as_fd()) {
                        Ok(()) => drop(self.marked.insert(mount.id, view)),
                        Err(_) => counts.unmarkable += 1,
                    },
                    Err(_) => counts.hidden += 1,
                },
            }
        }
        counts.mounts = self.marked.len();
        Ok(())
    }

    /// Takes away the marks of this round that the next one has not set again.
    pub fn unmark_but(&self, group: &Group, next: &Self) {
        let mut left: BTreeMap<View, Vec<u64>> = BTreeMap::new();
        for (id, view) in &self.marked {
            if !next.marked.contains_key(id) {
                left.entry(*view).or_default().push(*id);
            }
        }
        for (view, ids) in left {
            let members = self.seers.get(&view).into_iter().flatten().copied();
            let seers = members
                .chain([std::process::id(), 1])
                .filter_map(|pid| Seer::of(pid).ok());
            for seer in seers.filter(|seer| seer.view().is_ok_and(|seen| seen == view)) {
                if unmark(group, &seer, &ids).is_ok() {
                    break;
                }
            }
            // Nobody sees it any more: it went with its namespace, or costs its last users a
            // question until the last target is left.
        }
    }
}

fn unmark(group: &Group, seer: &Seer, ids: &[u64]) -> io::Result<()> {
    let mounts = seer.mounts()?;
    let root = seer.root()?;
    for mount in mounts.iter().filter(|mount| ids.contains(&mount.id)) {
        if let Ok(found) = root.mount(mount) {
            // It may be another mount by now, which is not marked.
            let _ = group.unmark(Place::Mount, found.as_fd());
        }
    }
    Ok(())
}
