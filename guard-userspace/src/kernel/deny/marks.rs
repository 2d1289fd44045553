//! Which mounts are asked about: all that members of the targets see and could execute from, and no
//! others.
//!
//! A container has a mount namespace of its own, and in it each volume is a mount. Nothing is held
//! open between two rounds: a descriptor would keep a dead container's mounts alive, or make its own
//! `umount` fail. So each round looks afresh and marks again what is marked already, which costs
//! little and is right even where an id went from one mount to another. What goes away with its
//! namespace needs no unmarking.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::group::{Group, Place};
use super::round::Round;
use super::shared::Shared;
use super::view::Seer;
use super::{Covered, DenyError, Judge, Wanted};

/// The marks of one group. Dropped, they are gone.
#[derive(Debug)]
pub struct Marks {
    group: Arc<Group>,
    shared: Arc<Shared>,
    judge: Arc<Judge>,
    /// Namespaces of the agent and of pid 1: marks in them make the host ask.
    host: BTreeSet<u64>,
    round: Round,
    /// Files that are asked about by themselves.
    files: BTreeSet<PathBuf>,
    /// Whether the heart was told that anything is marked.
    told: bool,
}

impl Marks {
    /// None yet.
    pub fn new(group: Arc<Group>, shared: Arc<Shared>, judge: Arc<Judge>) -> Self {
        let us = [Seer::this(), Seer::of(1)];
        let host = us
            .into_iter()
            .filter_map(|seer| seer.ok()?.namespace().ok())
            .collect();
        Self {
            group,
            shared,
            judge,
            host,
            round: Round::default(),
            files: BTreeSet::new(),
            told: false,
        }
    }

    /// As [`super::Deny::cover`].
    pub fn cover(&mut self, wanted: &[Wanted]) -> Result<Covered, DenyError> {
        self.may_mark(!wanted.is_empty())?;
        let mut round = Round::default();
        for target in wanted {
            for pid in &target.members {
                // First the process is held, then it is looked up: what has its pid by now is it.
                let Ok(seer) = Seer::of(*pid) else { continue };
                if (self.judge.belongs)(target.target, *pid) {
                    round.look(&self.group, &self.host, target.target, *pid, &seer);
                }
            }
        }
        self.round.unmark_but(&self.group, &round);
        self.round = round;
        self.settle()?;
        Ok(self.round.covered.clone())
    }

    /// As [`super::Deny::watch_file`].
    pub fn watch_file(&mut self, file: &Path) -> Result<(), DenyError> {
        self.may_mark(true)?;
        let marked = self.file(file, Group::mark);
        if marked.is_ok() {
            self.files.insert(file.to_owned());
        }
        self.settle()?;
        marked
    }

    /// As [`super::Deny::forget_file`].
    pub fn forget_file(&mut self, file: &Path) -> Result<(), DenyError> {
        self.files.remove(file);
        let unmarked = self.file(file, Group::unmark);
        self.settle()?;
        unmarked
    }

    fn file(
        &self,
        path: &Path,
        change: fn(&Group, Place, BorrowedFd<'_>) -> io::Result<()>,
    ) -> Result<(), DenyError> {
        let how = OFlags::PATH | OFlags::CLOEXEC;
        let opened = openat(CWD, path, how, Mode::empty()).map_err(io::Error::from);
        let changed = opened.and_then(|file| change(&self.group, Place::File, file.as_fd()));
        changed.map_err(|error| DenyError::File(path.to_owned(), error))
    }

    /// Whoever may have to wait must be seen to wait: told before the first mark.
    fn may_mark(&mut self, any: bool) -> Result<(), DenyError> {
        if self.shared.has_let_go() {
            return Err(DenyError::LetGo);
        }
        if any && !self.told {
            self.shared.heart.marked().map_err(DenyError::Heart)?;
            self.told = true;
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
        if self.round.marked.is_empty() && self.files.is_empty() && self.told {
            // Also of what a namespace still has that no member was left in to show.
            self.clear();
        }
        Ok(())
    }

    fn clear(&mut self) {
        let mounts = self.group.unmark_all(Place::Mount);
        let files = self.group.unmark_all(Place::File);
        if mounts.and(files).is_ok() {
            self.shared.heart.unmarked();
            self.told = false;
        }
        self.round.marked.clear();
        self.files.clear();
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        self.clear();
    }
}
