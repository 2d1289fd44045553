//! Takes in what runs already, exactly, while it goes on running; and lets go of it.
//!
//! Each cgroup is tagged before it is listed. From then on the kernel side takes in by itself
//! whatever executes, is moved in, or (while ARMING is set) forks there; what sits still is listed
//! and adopted. A listing is not atomic, so it is repeated until two bring nothing new, and both
//! sides reconcile: an entry is only inserted where no living process has one, what died or left
//! meanwhile is forgotten by its start time, and a task count that goes on to differ from /proc's by
//! the same is mended.

use super::Kernel;
use super::control::ControlError;
use super::tables::TableError;
use crate::evidence::{process, tree};
use crate::model::CgroupId;
use guard_common::abi::Control;
use guard_common::entry::flag;
use guard_common::tree::force::Post;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Listings until a target that changes all the time counts as listed: what appears after the
/// first of them was forked, moved or executed under the kernel side's eyes.
const ROUNDS: usize = 20;
/// Looks at task counts.
const LOOKS: usize = 40;
/// Of them so many, one after the other, must show the same difference before it is mended, or none before
/// it is left: a thread that is just coming or going is on one side's count and not yet on the other's.
const EQUAL: usize = 3;
/// Between two of them at first, and so much more after each ten: longer than a task takes to end, unless
/// it is preempted in the middle, or its whole CPU is, as a virtual machine's may be.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// Passes over a target that is let go of: children of what left are no members any more.
const PASSES: usize = 20;

/// Why a target is not counted.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// Its cgroup cannot be read.
    #[error("cannot read the cgroup {}: {source}; was it removed?", path.display())]
    Cgroup {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A map refuses.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The kernel side refuses.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A target that is counted from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Its cgroup.
    pub cgroup: CgroupId,
    /// Processes that were there already.
    pub adopted: u64,
}

/// What a look at a process's tasks showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It has ended.
    Gone,
    /// Tasks came or went meanwhile.
    Busy,
    /// So many are missing on the kernel side's count, modulo 2^64.
    Differs(u64),
}

impl Kernel {
    /// Counts a cgroup that is there, with all that is nested and runs in it, for `slot`.
    ///
    /// # Errors
    /// It is gone, or the tables are full. What was taken in until then stays.
    pub fn arm(&mut self, slot: u32, dir: &Path, v2_mount: &Path) -> Result<Armed, ArmError> {
        let cgroup = tree::id(dir).map_err(|source| {
            let path = dir.to_owned();
            ArmError::Cgroup { path, source }
        })?;
        if self.tables.slot_of(cgroup) == Some(slot) {
            // Armed at its birth: all that was in it is counted, and who is just ending would be twice.
            return Ok(Armed {
                cgroup: CgroupId(cgroup),
                adopted: 0,
            });
        }
        // What was another's until now because it is within that one. A cgroup that is another target
        // itself stays that one's.
        let outer = self.slot_around(dir);
        let from = outer.filter(|outer| self.tables.slot_of(cgroup) == Some(*outer));
        let before = self.tables.counters(slot)?.entered;
        self.count_for(slot, from, (cgroup, dir), v2_mount)?;
        Ok(Armed {
            cgroup: CgroupId(cgroup),
            adopted: self.tables.counters(slot)?.entered.saturating_sub(before),
        })
    }

    /// Whose the cgroup is in which this one is.
    fn slot_around(&self, dir: &Path) -> Option<u32> {
        self.tables.slot_of(tree::id(dir.parent()?).ok()?)
    }

    /// Counts it for `slot` from now on, also what was counted for `from`: there each has left.
    fn count_for(
        &mut self,
        slot: u32,
        from: Option<u32>,
        top: (u64, &Path),
        v2_mount: &Path,
    ) -> Result<(), ArmError> {
        self.tables.begin_arming(slot)?;
        let taken = self.take_in(slot, from, top, v2_mount);
        self.tables.end_arming()?;
        self.mend(slot, &taken?)
    }

    /// Lists until nothing new is there; returns who was there, each with its start. Also whom the kernel
    /// side took in by itself meanwhile: it counts the tasks of a process by what lives of it, and of a
    /// thread that is just ending nobody knows whether its end is yet to be told.
    fn take_in(
        &mut self,
        slot: u32,
        from: Option<u32>,
        top: (u64, &Path),
        v2_mount: &Path,
    ) -> Result<BTreeMap<u32, u64>, ArmError> {
        let below = top.1.strip_prefix(v2_mount).unwrap_or(top.1);
        let mut seen = BTreeSet::new();
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            let mut new = false;
            let mut open = vec![(top.0, top.1.to_owned())];
            while let Some((id, dir)) = open.pop() {
                // A target inside this one counts for itself.
                let of = self.tables.slot_of(id);
                if of.is_some_and(|of| of != slot && Some(of) != from) {
                    continue;
                }
                self.tables.tag(id, slot)?;
                let (pids, children) = (tree::pids(&dir), tree::children(&dir));
                if tree::id(&dir).ok() != Some(id) {
                    // Removed meanwhile, and another one may have its path.
                    self.tables.untag(id)?;
                    continue;
                }
                open.extend(children);
                for pid in pids.unwrap_or_default() {
                    if self.has_parted(from, pid)? | seen.insert(pid) {
                        new = true;
                        self.adopt(slot, pid, below)?;
                    }
                }
            }
            quiet = if new { 0 } else { quiet + 1 };
            if quiet == 2 {
                break;
            }
        }
        let entered = seen.into_iter().filter_map(|pid| {
            let entry = self.tables.process(pid)?;
            let was_there = entry.slot == slot && entry.flags & flag::ENTERED != 0;
            was_there.then_some((pid, entry.start_ns))
        });
        Ok(entered.collect())
    }

    /// Lets go of a process that was `from`'s. Until it is adopted it is nobody's, and a fork or an exec of
    /// it meanwhile brings it in as well, by its cgroup.
    fn has_parted(&self, from: Option<u32>, pid: u32) -> Result<bool, ControlError> {
        let Some(from) = from else { return Ok(false) };
        let entry = self.tables.process(pid).filter(|entry| entry.slot == from);
        entry.map_or(Ok(false), |entry| {
            let args = [u64::from(pid), entry.start_ns, 0, 0];
            self.control(Control::Release, from, args)
        })
    }

    /// Adopts a process, where the kernel side does not know it already and it is not gone.
    fn adopt(&self, slot: u32, pid: u32, below: &Path) -> Result<(), ControlError> {
        let Some(seen) = process::look(pid) else {
            return Ok(());
        };
        let start = seen.start_ns;
        let args = [u64::from(pid), start, seen.tasks, Post::Found.pack()];
        if !self.control(Control::Adopt, slot, args)? {
            return Ok(());
        }
        // One that began to end meanwhile may have told its end before it had an entry. Forgetting it
        // counts that end, unless it was counted: the entry is marked dead once.
        let is_there = process::look(pid).is_some_and(|now| now.start_ns == start)
            && process::cgroup(pid).is_some_and(|at| at.starts_with(below));
        if !is_there {
            self.control(Control::Forget, slot, [u64::from(pid), start, 0, 0])?;
        }
        Ok(())
    }

    /// Threads that came or went while a process was adopted were not seen by both sides.
    fn mend(&self, slot: u32, entered: &BTreeMap<u32, u64>) -> Result<(), ArmError> {
        let mut open: Vec<_> = entered.iter().map(|(&pid, &start)| (pid, start)).collect();
        let mut same: BTreeMap<u32, (u64, usize)> = BTreeMap::new();
        for look in 0..LOOKS {
            let mut left = Vec::new();
            for (pid, start) in open {
                let missing = match self.difference(slot, pid, start)? {
                    Seen::Gone => continue,
                    Seen::Busy => {
                        left.push((pid, start));
                        continue;
                    }
                    Seen::Differs(missing) => missing,
                };
                let (last, times) = same.entry(pid).or_insert((missing, 0));
                *times = if *last == missing { *times + 1 } else { 1 };
                *last = missing;
                if *times < EQUAL {
                    left.push((pid, start));
                } else if missing != 0 {
                    let args = [u64::from(pid), start, missing, 0];
                    self.control(Control::Mend, slot, args)?;
                    // It is looked at again: what stood still so long may have been on its way all the same.
                    *times = 0;
                    left.push((pid, start));
                }
            }
            if left.is_empty() {
                break;
            }
            open = left;
            thread::sleep(BETWEEN_LOOKS.saturating_mul(1 + u32::try_from(look / 10).unwrap_or(0)));
        }
        Ok(())
    }

    /// How many tasks of a process are there and not counted, at a moment at which none came or went.
    fn difference(&self, slot: u32, pid: u32, start: u64) -> Result<Seen, TableError> {
        let counted = || -> Result<_, TableError> {
            let threads = self.tables.counters(slot)?.threads;
            let entry = self.tables.process(pid);
            let entry = entry.filter(|entry| entry.start_ns == start);
            Ok(entry.map(|entry| (entry.tasks, threads)))
        };
        let before = counted()?;
        let there = process::look(pid);
        let (Some(before), Some(there)) = (before, there) else {
            return Ok(Seen::Gone);
        };
        // Without a birth the count only falls, so where it is the same nothing happened.
        Ok(if counted()? == Some(before) {
            Seen::Differs(there.tasks.wrapping_sub(before.0.cast_unsigned()))
        } else {
            Seen::Busy
        })
    }

    /// Counts nothing more of a cgroup for `slot`: it and what is nested in it is untagged, and
    /// what still runs there has left. Of one that was removed the kernel side has untagged all; what
    /// is at its path by now is another one, and none of this one's processes is in it.
    ///
    /// Where it is within another target's it is that one's from now on, whose slot is returned.
    ///
    /// # Errors
    /// A map or the kernel side refuses.
    pub fn release(
        &mut self,
        slot: u32,
        dir: &Path,
        id: u64,
        v2_mount: &Path,
    ) -> Result<Option<u32>, ArmError> {
        let is_there = tree::id(dir).is_ok_and(|now| now == id);
        let heir = self
            .slot_around(dir)
            .filter(|heir| *heir != slot && is_there);
        if let Some(heir) = heir.filter(|_| self.tables.slot_of(id) == Some(slot)) {
            self.count_for(heir, Some(slot), (id, dir), v2_mount)?;
            return Ok(Some(heir));
        }
        if self.tables.slot_of(id) == Some(slot) {
            self.tables.untag(id)?;
        }
        for _ in 0..PASSES {
            let mut any = false;
            let mut open = vec![(id, dir.to_owned())];
            while let Some((id, dir)) = open.pop() {
                let (pids, children) = (tree::pids(&dir), tree::children(&dir));
                // Only now is it certain whose they are.
                if tree::id(&dir).ok() != Some(id) {
                    continue;
                }
                for (id, child) in children {
                    if self.tables.slot_of(id) == Some(slot) {
                        self.tables.untag(id)?;
                    }
                    open.push((id, child));
                }
                for pid in pids.unwrap_or_default() {
                    let entry = self.tables.process(pid);
                    if let Some(entry) = entry.filter(|entry| entry.slot == slot) {
                        let args = [u64::from(pid), entry.start_ns, 0, 0];
                        any |= self.control(Control::Release, slot, args)?;
                    }
                }
            }
            if !any {
                break;
            }
        }
        Ok(None)
    }
}
