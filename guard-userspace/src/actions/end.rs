//! Ends trees: lists who is in them, and ends all of each or says why not.
//!
//! It takes as long as `grace` and more, so it runs on a thread of its own, and how it ended comes
//! back as outcomes. No pid is trusted: each process is held by a pidfd, and the kernel side's table
//! is asked again, after that, whether it is in the tree (`member.rs`).

mod kill;
mod member;
mod retire;
mod stdin;

use crate::kernel::members::Members;
use crate::model::{Action, Ended, Ending, How, Outcome, OutcomeKind};
use crate::rails::Permit;
use member::Crowd;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How long trees have to end by themselves in an emergency.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Where trees are ended, and how.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The target's slot.
    pub slot: u32,
    /// Its cgroup's directory.
    pub dir: PathBuf,
    /// How long a tree has to end by itself.
    pub grace: Duration,
    /// Who is in which tree.
    pub members: Members,
    /// The agent ends: nobody is waited for any more, and what was begun is brought to its end.
    pub hurry: Hurry,
}

/// Says that there is no time left.
#[derive(Clone, Debug, Default)]
pub struct Hurry(Arc<AtomicBool>);

impl Hurry {
    /// From now on.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of a tree: how many of its processes ended, or with why not all did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct End {
    processes: u64,
    failed: Option<String>,
    /// It took a signal.
    killed: bool,
}

/// By a tree's id.
type Ends = BTreeMap<u64, End>;

/// Ends the trees of `permits`, which are all of the scene's target, on a thread of its own, when
/// `ready` has returned; `tell` hears how each ended. Permits for anything else do nothing.
///
/// # Errors
/// No thread.
pub fn begin(
    permits: Vec<Permit>,
    scene: Scene,
    ready: impl FnOnce() + Send + 'static,
    tell: impl FnOnce(Vec<Outcome>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let broken_off = failed(
        &permits,
        "a defect of the guard's own broke it off: see its log",
    );
    let run = move || {
        ready();
        tell(whole(broken_off, || all(permits, &scene)));
    };
    Builder::new().name("end".to_owned()).spawn(run)
}

/// What `work` gives, or `broken_off` where it panics: trees whose end nobody hears of would hold back
/// all that are chosen later.
fn whole(broken_off: Vec<Outcome>, work: impl FnOnce() -> Vec<Outcome>) -> Vec<Outcome> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(broken_off)
}

fn all(permits: Vec<Permit>, scene: &Scene) -> Vec<Outcome> {
    let endings = permits
        .into_iter()
        .filter_map(|permit| match permit.action() {
            Action::End(ending) => Some(ending.clone()),
            _ => None,
        });
    let mut by_how: BTreeMap<How, Vec<Ending>> = BTreeMap::new();
    for ending in endings {
        by_how.entry(ending.how).or_default().push(ending);
    }
    let all = by_how.into_iter();
    all.flat_map(|(how, endings)| outcomes_of(endings, how, scene))
        .collect()
}

/// Why nothing could be tried.
#[must_use]
pub fn failed(permits: &[Permit], why: &str) -> Vec<Outcome> {
    let all = permits.iter().filter_map(|permit| match permit.action() {
        Action::End(ending) => {
            let kind = OutcomeKind::Failed(why.to_owned());
            Some(outcome(ending.clone(), &End::default(), kind))
        }
        _ => None,
    });
    all.collect()
}

fn outcomes_of(endings: Vec<Ending>, how: How, scene: &Scene) -> Vec<Outcome> {
    let mut ends = match how {
        How::Retire => once(scene, &endings, retire::all),
        How::Kill => once(scene, &endings, kill::all),
        How::End => ladder(scene, &endings, scene.grace, kill::all),
        How::Force => ladder(scene, &endings, AT_ONCE.min(scene.grace), kill::force),
    };
    let all = endings.into_iter().map(|ending| {
        let end = ends.remove(&ending.tree).unwrap_or_default();
        let kind = end
            .failed
            .clone()
            .map_or(OutcomeKind::Done, OutcomeKind::Failed);
        outcome(ending, &end, kind)
    });
    all.collect()
}

fn once(
    scene: &Scene,
    endings: &[Ending],
    step: impl Fn(&mut Crowd<'_>, &[Ending]) -> Ends,
) -> Ends {
    let mut crowd = Crowd::of(scene, endings.iter().map(|ending| ending.tree));
    step(&mut crowd, endings)
}

/// Retires what can be, and kills what is left after `grace`.
fn ladder(
    scene: &Scene,
    endings: &[Ending],
    grace: Duration,
    kill: impl Fn(&mut Crowd<'_>, &[Ending]) -> Ends,
) -> Ends {
    let mut ends = once(scene, endings, |crowd, endings| {
        retire::within(crowd, endings, grace)
    });
    let stayed = |ending: &&Ending| {
        let end = ends.get(&ending.tree);
        end.is_some_and(|end| end.failed.is_some())
    };
    let left: Vec<Ending> = endings.iter().filter(stayed).cloned().collect();
    // Who has seen the end of its input ends by itself, and nobody else was touched yet: an agent that
    // ends leaves whole trees.
    if left.is_empty() || scene.hurry.is_on() {
        return ends;
    }
    for (tree, mut end) in once(scene, &left, kill) {
        if let Some(before) = ends.get(&tree) {
            end.processes = end.processes.saturating_add(before.processes);
            end.killed = true;
        }
        ends.insert(tree, end);
    }
    ends
}

fn outcome(ending: Ending, end: &End, kind: OutcomeKind) -> Outcome {
    let mut outcome = Outcome::of(ending.how.name(), kind);
    outcome.ended = Some(Box::new(Ended {
        ending,
        processes: end.processes,
        killed: end.killed,
    }));
    outcome
}

#[cfg(test)]
mod tests;
