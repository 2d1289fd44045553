//! The processes of the trees that are being ended: found, held, signalled, waited for.

use super::Scene;
use crate::evidence::{process, tree};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Longest wait without a look at whether there is still time.
const SLICE: Duration = Duration::from_millis(100);

/// Most generations that depth is counted through.
const GENERATIONS: u32 = 64;

/// One that is held: whatever becomes of its pid, this is no other process.
#[derive(Debug)]
pub struct Held {
    /// Its pid.
    pub pid: u32,
    /// The tree that it was found in.
    pub tree: u64,
    /// Its start in nanoseconds of CLOCK_BOOTTIME.
    pub start_ns: u64,
    /// Its process.
    pub fd: OwnedFd,
    parent: u32,
    has_ended: bool,
}

/// All of the trees that are being ended.
pub struct Crowd<'a> {
    scene: &'a Scene,
    trees: BTreeSet<u64>,
    held: BTreeMap<(u32, u64), Held>,
    /// Trees in which somebody lives that cannot be held.
    loose: BTreeSet<u64>,
}

impl<'a> Crowd<'a> {
    /// Of these trees; nobody is held yet.
    pub fn of(scene: &'a Scene, trees: impl Iterator<Item = u64>) -> Self {
        Self {
            scene,
            trees: trees.collect(),
            held: BTreeMap::new(),
            loose: BTreeSet::new(),
        }
    }

    /// How long a tree has to end by itself.
    pub const fn grace(&self) -> Duration {
        self.scene.grace
    }

    /// Holds whoever is in the trees now and was not held yet. Not atomic: who is born meanwhile is
    /// found the next time.
    pub fn look(&mut self) {
        self.loose.clear();
        for pid in tree::all_pids(&self.scene.dir) {
            match self.hold(pid) {
                Ok(Some(held)) => {
                    self.held.entry((pid, held.start_ns)).or_insert(held);
                }
                Ok(None) => {}
                Err((tree, error)) => {
                    tracing::warn!(%error, pid, "cannot hold a process that is to end");
                    self.loose.insert(tree);
                }
            }
        }
    }

    /// Holds `pid` if it is in one of the trees. First it is held, and then asked for: if the pid is
    /// another's by then, what is held is dead.
    fn hold(&self, pid: u32) -> Result<Option<Held>, (u64, Errno)> {
        let in_them = |pid| {
            let member = self.scene.members.of_tree(self.scene.slot, pid)?;
            self.trees.contains(&member.tree).then_some(member)
        };
        let Some(named) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let Some(before) = in_them(pid) else {
            return Ok(None);
        };
        let fd = match pidfd_open(named, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err((before.tree, error)),
        };
        let (Some(member), Some(kin)) = (in_them(pid), process::kin(pid)) else {
            return Ok(None);
        };
        let same = process::ticks(member.start_ns) == kin.start_ticks;
        Ok(same.then_some(Held {
            pid,
            tree: member.tree,
            start_ns: member.start_ns,
            fd,
            parent: kin.parent,
            has_ended: false,
        }))
    }

    /// Whether it is still in its tree: at this moment, and as the same process.
    pub fn is_there(&self, held: &Held) -> bool {
        let member = self.scene.members.of_tree(self.scene.slot, held.pid);
        member.is_some_and(|now| now.tree == held.tree && now.start_ns == held.start_ns)
    }

    /// The tree that `pid` is in now.
    pub fn tree_of(&self, pid: u32) -> Option<u64> {
        let member = self.scene.members.of_tree(self.scene.slot, pid)?;
        Some(member.tree)
    }

    /// Those of a tree that are held and have not ended, leaves first.
    pub fn leaves_first(&self, tree: u64) -> Vec<&Held> {
        let living = self.held.values().filter(|held| !held.has_ended);
        let mut all: Vec<&Held> = living.filter(|held| held.tree == tree).collect();
        let parents: BTreeMap<u32, u32> = all.iter().map(|held| (held.pid, held.parent)).collect();
        all.sort_by_key(|held| {
            let depth = depth(held.pid, &parents);
            (core::cmp::Reverse(depth), core::cmp::Reverse(held.start_ns))
        });
        all
    }

    /// Sends a signal to all that are held and still in their tree, leaves first, so that no orphan
    /// is left that holds the gateway's pipes.
    pub fn signal(&self, signal: Signal) {
        for tree in &self.trees {
            for held in self.leaves_first(*tree) {
                if !self.is_there(held) {
                    continue;
                }
                match pidfd_send_signal(&held.fd, signal) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(error) => tracing::warn!(%error, pid = held.pid, "cannot be signalled"),
                }
            }
        }
    }

    /// Waits until `trees` have ended, those born meanwhile too, for at most `limit`; says which
    /// have not.
    pub fn wait(&mut self, limit: Duration, trees: &BTreeSet<u64>) -> BTreeSet<u64> {
        let until = Instant::now() + limit;
        loop {
            self.wait_for_held(until, trees);
            self.look();
            let left = self.left(trees);
            let over = Instant::now() >= until || self.scene.hurry.is_on();
            if left.is_empty() || over {
                return left;
            }
        }
    }

    /// Those of `trees` in which somebody lives.
    fn left(&self, trees: &BTreeSet<u64>) -> BTreeSet<u64> {
        let living = self.held.values().filter(|held| !held.has_ended);
        // Who has left its tree meanwhile is none of it any more.
        let there = living.filter(|held| trees.contains(&held.tree) && self.is_there(held));
        let loose = self.loose.intersection(trees).copied();
        there.map(|held| held.tree).chain(loose).collect()
    }

    /// Waits until all that are held have ended or there is no time left.
    fn wait_for_held(&mut self, until: Instant, trees: &BTreeSet<u64>) {
        loop {
            let now = Instant::now();
            let waited: Vec<(u32, u64)> = self
                .held
                .iter()
                .filter(|(_, held)| !held.has_ended && trees.contains(&held.tree))
                .map(|(key, _)| *key)
                .collect();
            if waited.is_empty() {
                return;
            }
            let ended = self.poll(&waited, until.saturating_duration_since(now).min(SLICE));
            for key in ended {
                if let Some(held) = self.held.get_mut(&key) {
                    held.has_ended = true;
                }
            }
            if now >= until || self.scene.hurry.is_on() {
                return;
            }
        }
    }

    /// Those that have ended when the first of them has, or after `limit`.
    fn poll(&self, waited: &[(u32, u64)], limit: Duration) -> Vec<(u32, u64)> {
        let mut polled: Vec<((u32, u64), PollFd<'_>)> = waited
            .iter()
            .filter_map(|key| {
                let held = self.held.get(key)?;
                Some((*key, PollFd::new(&held.fd, PollFlags::IN)))
            })
            .collect();
        let mut fds: Vec<PollFd<'_>> = polled.iter().map(|(_, fd)| fd.clone()).collect();
        let limit = Timespec::try_from(limit).ok();
        if let Err(error) = poll(&mut fds, limit.as_ref()) {
            tracing::debug!(%error, "waiting for processes to end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let ready = polled.drain(..).zip(&fds);
        ready
            .filter(|(_, fd)| fd.revents().contains(PollFlags::IN))
            .map(|((key, _), _)| key)
            .collect()
    }

    /// How many of a tree's processes have ended while they were held.
    pub fn ended(&self, tree: u64) -> u64 {
        let ended = self.held.values().filter(|held| held.has_ended);
        let count = ended.filter(|held| held.tree == tree).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// All of the trees.
    pub fn trees(&self) -> BTreeSet<u64> {
        self.trees.clone()
    }
}

/// How far below its tree's root a process is, as far as it can be told.
fn depth(pid: u32, parents: &BTreeMap<u32, u32>) -> u32 {
    let mut at = pid;
    for depth in 0..GENERATIONS {
        match parents.get(&at) {
            Some(parent) if parents.contains_key(parent) => at = *parent,
            _ => return depth,
        }
    }
    GENERATIONS
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn depth_is_counted_from_the_root_of_what_is_there() {
        let parents = [(10, 1), (11, 10), (12, 11), (20, 7), (30, 31), (31, 30)].into();
        let check = |pid, expected| assert_eq!(depth(pid, &parents), expected, "{pid}");
        check(10, 0);
        check(11, 1);
        check(12, 2);
        // Its parent has ended.
        check(20, 0);
        // What cannot be ends, too.
        check(30, super::GENERATIONS);
    }
}
