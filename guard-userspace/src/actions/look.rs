//! Looks at a target's trees: what speaks for and against each. Reading only, on a thread of its own.
//!
//! One pass over its processes and one over the host's, for those that ended and were not waited for:
//! cgroup.procs does not list them (kernel/cgroup/cgroup.c, css_task_iter). Nothing of it is atomic:
//! a tree that changes meanwhile is looked at again, and before anything ends it is held and asked for
//! once more (`end/member.rs`).

use crate::evidence::stat::{Figures, figures};
use crate::evidence::{process, stdin, tree};
use crate::kernel::members::Members;
use crate::model::evidence::{TreeEvidence, Writer, Zombies};
use crate::model::kin::{TreeKind, TreeSeen};
use crate::model::{Evidence, ProcessKey};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};

/// Where it is looked.
#[derive(Clone, Debug)]
pub struct View {
    /// The target's slot.
    pub slot: u32,
    /// Its cgroup's directory.
    pub dir: PathBuf,
    /// Who is in which tree.
    pub members: Members,
    /// Its trees and entries from outside, as they were when that was decided.
    pub trees: Vec<TreeSeen>,
    /// Pids of its gateways, as they were then.
    pub gateways: BTreeSet<u32>,
}

/// Looks on a thread of its own; `tell` hears what is seen.
///
/// # Errors
/// No thread.
pub fn begin(
    view: View,
    tell: impl FnOnce(Evidence) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let run = move || tell(look(&view));
    Builder::new().name("look".to_owned()).spawn(run)
}

/// A process of a tree.
#[derive(Debug)]
struct One {
    pid: u32,
    start_ns: u64,
    figures: Figures,
}

/// What is seen now.
#[must_use]
pub fn look(view: &View) -> Evidence {
    let mut trees: BTreeMap<u64, Vec<One>> = BTreeMap::new();
    let here: BTreeSet<u32> = tree::all_pids(&view.dir).into_iter().collect();
    for pid in here.iter().copied() {
        let Some(member) = view.members.of_tree(view.slot, pid) else {
            continue;
        };
        // The pid may be another's by now, which is of another start then.
        let is_it = |figures: &Figures| process::ticks(member.start_ns) == figures.start_ticks;
        if let Some(figures) = figures(pid).filter(is_it) {
            let start_ns = member.start_ns;
            trees.entry(member.tree).or_default().push(One {
                pid,
                start_ns,
                figures,
            });
        }
    }
    let seen = trees.iter().map(|(id, all)| of_tree(*id, all, view));
    Evidence {
        trees: seen.collect(),
        zombies: zombies(&here),
    }
}

fn of_tree(id: u64, all: &[One], view: &View) -> TreeEvidence {
    let known = view.trees.iter().find(|tree| tree.id == id);
    let parents: BTreeSet<u32> = all.iter().map(|one| one.figures.parent).collect();
    let leaves = all.iter().filter(|one| !parents.contains(&one.pid));
    let root = known.and_then(|tree| all.iter().find(|one| one.pid == tree.root));
    let first = root.or_else(|| all.iter().min_by_key(|one| one.start_ns));
    let is_guests = known.is_some_and(|tree| tree.kind == TreeKind::Guests);
    let is_asked_for = first.is_none_or(|one| view.gateways.contains(&one.figures.parent));
    TreeEvidence {
        tree: id,
        leaf_cpu_ns: leaves.map(|one| one.figures.cpu_ns).sum(),
        memory_bytes: all.iter().map(|one| one.figures.memory_bytes).sum(),
        writer: first.map_or(Writer::Unknown, writer),
        // What came from outside nobody here has asked for, and without a gateway nobody can tell.
        orphan: known.is_some() && !is_guests && !view.gateways.is_empty() && !is_asked_for,
    }
}

/// It is held first, and then looked at again: if the pid is another's by then, nothing is known.
fn writer(one: &One) -> Writer {
    let pid = i32::try_from(one.pid).ok().and_then(Pid::from_raw);
    let held = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some(held) = held else {
        return Writer::Unknown;
    };
    let same = |now: Figures| now.start_ticks == one.figures.start_ticks;
    if !figures(one.pid).is_some_and(same) {
        return Writer::Unknown;
    }
    stdin::writer(&held)
}

/// Parents in `here` whose children have ended and were not waited for.
fn zombies(here: &BTreeSet<u32>) -> Vec<Zombies> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for pid in process::all_pids().filter(|pid| !here.contains(pid)) {
        let ended = figures(pid).filter(|figures| figures.is_zombie);
        if let Some(ended) = ended.filter(|ended| here.contains(&ended.parent)) {
            *counts.entry(ended.parent).or_default() += 1;
        }
    }
    let all = counts.into_iter().filter_map(|(pid, count)| {
        let parent = figures(pid)?;
        Some(Zombies {
            parent: ProcessKey {
                pid,
                start_ticks: parent.start_ticks,
            },
            comm: parent.comm,
            count,
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests;
