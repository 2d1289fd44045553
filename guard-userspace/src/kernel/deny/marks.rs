//! Which mounts are asked about: all that members of the targets see and could execute from, and no
//! others.
//!
//! A container has a mount namespace of its own, and in it each volume is a mount. Nothing is held
//! open between two rounds: a descriptor would keep a dead container's mounts alive, or make its own
//! `umount` fail. So each round looks afresh and marks again what is marked already, which costs
//! little and is right even where an id went from one mount to another. What goes away with its
//! namespace needs no unmarking.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::answer::Shared;
use super::group::Place;
use super::mountinfo::Kind;
use super::view::{Seer, View};
use super::{Covered, DenyError, Wanted};

/// Members of a view that are remembered, to find its mounts again when they are to be unmarked.
const REMEMBERED: usize = 8;

/// The marks of one group. Dropped, they are gone.
#[derive(Debug)]
pub struct Marks {
    shared: Arc<Shared>,
    /// Namespaces of the agent and of pid 1: marks in them make the host ask.
    host: BTreeSet<u64>,
    round: Round,
    /// Files that are asked about by themselves.
    files: usize,
    /// What the heart was told.
    said_marked: bool,
}

/// What one round found.
#[derive(Debug, Default)]
struct Round {
    /// Mounts that are marked, by id, and who sees them.
    marked: BTreeMap<u64, View>,
    /// Some of those who see a view.
    seers: BTreeMap<View, Vec<u32>>,
    covered: Covered,
}

impl Marks {
    /// None yet.
    pub fn new(shared: Arc<Shared>) -> Self {
        let us = [Seer::this(), Seer::of(1)];
        let host = us
            .into_iter()
            .filter_map(|seer| seer.ok()?.namespace().ok())
            .collect();
        Self {
            shared,
            host,
            round: Round::default(),
            files: 0,
            said_marked: false,
        }
    }

    /// As [`super::Deny::cover`].
    pub fn cover(
        &mut self,
        wanted: &[Wanted<'_>],
        is_member: &dyn Fn(u32, u32) -> bool,
    ) -> Result<&Covered, DenyError> {
        self.may_mark(!wanted.is_empty())?;
        let mut round = Round::default();
        for target in wanted {
            for pid in target.members {
                // First the process is held, then it is looked up: what has its pid by now is it.
                let Ok(seer) = Seer::of(*pid) else { continue };
                if is_member(target.target, *pid) {
                    self.look(&mut round, target.target, *pid, &seer);
                }
            }
        }
        let before = std::mem::replace(&mut self.round, round);
        self.unmark_left(&before);
        self.settle()?;
        Ok(&self.round.covered)
    }

    /// As [`super::Deny::watch_file`].
    pub fn watch_file(&mut self, file: BorrowedFd<'_>) -> Result<(), DenyError> {
        self.may_mark(true)?;
        self.shared
            .group
            .mark(Place::File, file)
            .map_err(DenyError::File)?;
        self.files += 1;
        self.settle()
    }

    /// As [`super::Deny::forget_file`].
    pub fn forget_file(&mut self, file: BorrowedFd<'_>) -> Result<(), DenyError> {
        self.shared
            .group
            .unmark(Place::File, file)
            .map_err(DenyError::File)?;
        self.files = self.files.saturating_sub(1);
        self.settle()
    }

    /// Whoever may have to wait must be seen to wait: told before the first mark.
    fn may_mark(&mut self, any: bool) -> Result<(), DenyError> {
        if self.shared.has_let_go() {
            return Err(DenyError::LetGo);
        }
        if any && !self.said_marked {
            self.shared
                .heart
                .say_marked(true)
                .map_err(DenyError::Heart)?;
            self.said_marked = true;
        }
        Ok(())
    }

    /// After marks were set or taken away.
    fn settle(&mut self) -> Result<(), DenyError> {
        if self.shared.has_let_go() {
            // It let go while marks were being set; those came after its last word.
            self.clear();
            return Err(DenyError::LetGo);
        }
        if self.round.marked.is_empty() && self.files == 0 && self.said_marked {
            // Also of what a namespace still has that no member was left in to show.
            self.clear();
        }
        Ok(())
    }

    fn clear(&mut self) {
        let mounts = self.shared.group.unmark_all(Place::Mount);
        let files = self.shared.group.unmark_all(Place::File);
        if mounts.and(files).is_ok() && self.shared.heart.say_marked(false).is_ok() {
            self.said_marked = false;
        }
        self.round = Round::default();
        self.files = 0;
    }

    fn look(&self, round: &mut Round, target: u32, pid: u32, seer: &Seer) {
        let Ok(view) = seer.view() else { return };
        if self.host.contains(&view.namespace) {
            round.covered.on_host.insert(target);
        }
        if let Some(seers) = round.seers.get_mut(&view) {
            if seers.len() < REMEMBERED {
                seers.push(pid);
            }
        } else if self.mark_all(round, seer, view).is_ok() {
            round.seers.insert(view, vec![pid]);
        }
    }

    /// An error: the process ended meanwhile, and another may show the same.
    fn mark_all(&self, round: &mut Round, seer: &Seer, view: View) -> io::Result<()> {
        let mounts = seer.mounts()?;
        let root = seer.root()?;
        let counts = &mut round.covered;
        for mount in &mounts {
            match mount.kind {
                Kind::Noexec => counts.noexec += 1,
                Kind::Remote => counts.remote += 1,
                Kind::Local => match root.mount(mount) {
                    Ok(found) => match self.shared.group.mark(Place::Mount, found.as_fd()) {
                        Ok(()) => drop(round.marked.insert(mount.id, view)),
                        Err(_) => counts.unmarkable += 1,
                    },
                    Err(_) => counts.hidden += 1,
                },
            }
        }
        counts.mounts = round.marked.len();
        Ok(())
    }

    /// Takes away the marks of the round before that this one has not set.
    fn unmark_left(&self, before: &Round) {
        let mut left: BTreeMap<View, Vec<u64>> = BTreeMap::new();
        for (id, view) in &before.marked {
            if !self.round.marked.contains_key(id) {
                left.entry(*view).or_default().push(*id);
            }
        }
        for (view, ids) in left {
            let members = before.seers.get(&view).into_iter().flatten().copied();
            let seers = members
                .chain([std::process::id(), 1])
                .filter_map(|pid| Seer::of(pid).ok());
            for seer in seers.filter(|seer| seer.view().is_ok_and(|seen| seen == view)) {
                if self.unmark(&seer, &ids).is_ok() {
                    break;
                }
            }
            // Nobody sees it any more: it went with its namespace, or costs its last users a
            // question until the last target is left.
        }
    }

    fn unmark(&self, seer: &Seer, ids: &[u64]) -> io::Result<()> {
        let mounts = seer.mounts()?;
        let root = seer.root()?;
        for mount in mounts.iter().filter(|mount| ids.contains(&mount.id)) {
            if let Ok(found) = root.mount(mount) {
                // It may be another mount by now, which is not marked.
                let _ = self.shared.group.unmark(Place::Mount, found.as_fd());
            }
        }
        Ok(())
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        self.clear();
    }
}
