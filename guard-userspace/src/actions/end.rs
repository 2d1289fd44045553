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
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

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

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of a tree: how many of its processes ended, or with why not all did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct End {
    processes: u64,
    failed: Option<String>,
}

/// By a tree's id.
type Ends = BTreeMap<u64, End>;

/// Ends the trees of `permits`, which are all of the scene's target, on a thread of its own; `tell`
/// hears how each ended. Permits for anything else do nothing.
///
/// # Errors
/// No thread.
pub fn begin(
    permits: Vec<Permit>,
    scene: Scene,
    tell: impl FnOnce(Vec<Outcome>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let run = move || {
        let endings = permits
            .into_iter()
            .filter_map(|permit| match permit.action() {
                Action::End(ending) => Some(ending.clone()),
                _ => None,
            });
        let (retire, kill): (Vec<Ending>, Vec<Ending>) =
            endings.partition(|ending| ending.how == How::Retire);
        let mut outcomes = Vec::new();
        if !retire.is_empty() {
            outcomes.extend(outcomes_of(retire, retire::all, &scene));
        }
        if !kill.is_empty() {
            outcomes.extend(outcomes_of(kill, kill::all, &scene));
        }
        tell(outcomes);
    };
    Builder::new().name("end".to_owned()).spawn(run)
}

/// Why nothing could be tried.
#[must_use]
pub fn failed(permits: &[Permit], why: &str) -> Vec<Outcome> {
    let all = permits.iter().filter_map(|permit| match permit.action() {
        Action::End(ending) => {
            let kind = OutcomeKind::Failed(why.to_owned());
            Some(outcome(ending.clone(), 0, kind))
        }
        _ => None,
    });
    all.collect()
}

fn outcomes_of(
    endings: Vec<Ending>,
    end: impl Fn(&mut Crowd<'_>, &[Ending]) -> Ends,
    scene: &Scene,
) -> Vec<Outcome> {
    let mut crowd = Crowd::of(scene, endings.iter().map(|ending| ending.tree));
    let mut ends = end(&mut crowd, &endings);
    let all = endings.into_iter().map(|ending| {
        let end = ends.remove(&ending.tree).unwrap_or_default();
        let kind = end.failed.map_or(OutcomeKind::Done, OutcomeKind::Failed);
        outcome(ending, end.processes, kind)
    });
    all.collect()
}

fn outcome(ending: Ending, processes: u64, kind: OutcomeKind) -> Outcome {
    let mut outcome = Outcome::of(ending.how.name(), kind);
    outcome.ended = Some(Box::new(Ended { ending, processes }));
    outcome
}

#[cfg(test)]
mod tests;
