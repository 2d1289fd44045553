//! SIGTERM to all of a tree, and SIGKILL to what is left after `grace`.
//!
//! Each process is signalled by itself, never a process group: the group's number is a bare pid, and
//! may be, or hold, somebody outside the tree. Whoever appears meanwhile is found by looking again.

use super::member::Crowd;
use super::{End, Ends};
use crate::model::Ending;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::Duration;

/// Rounds of SIGKILL: each finds who was born in the one before.
const ROUNDS: usize = 3;

/// How long the kernel may take to bury what was killed.
const BURIAL: Duration = Duration::from_secs(1);

/// Kills all of the trees.
pub fn all(crowd: &mut Crowd<'_>, endings: &[Ending]) -> Ends {
    let trees = crowd.trees();
    crowd.look();
    crowd.signal(Signal::TERM);
    let left = crowd.wait(crowd.grace(), &trees);
    bury(crowd, endings, left)
}

/// SIGKILL at once.
pub fn force(crowd: &mut Crowd<'_>, endings: &[Ending]) -> Ends {
    crowd.look();
    let trees = crowd.trees();
    bury(crowd, endings, trees)
}

fn bury(crowd: &mut Crowd<'_>, endings: &[Ending], mut left: BTreeSet<u64>) -> Ends {
    let trees = crowd.trees();
    for _ in 0..ROUNDS {
        if left.is_empty() {
            break;
        }
        crowd.signal(Signal::KILL);
        left = crowd.wait(BURIAL, &trees);
    }
    let ends = endings.iter().map(|ending| {
        let failed = left.contains(&ending.tree).then(|| {
            let still = crowd.leaves_first(ending.tree).len();
            format!(
                "not all of {ending} has ended ({still} got SIGKILL and still run): kill it again"
            )
        });
        let processes = crowd.ended(ending.tree);
        let killed = true;
        (
            ending.tree,
            End {
                processes,
                failed,
                killed,
            },
        )
    });
    ends.collect()
}
