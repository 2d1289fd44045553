//! End of file on the standard input of a tree's root: an MCP server ends by itself, and its gateway
//! counts no crash.

use super::member::Crowd;
use super::stdin::{self, Stdin};
use super::{End, Ends};
use crate::model::Ending;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Retires all of the trees that can be; each has `grace` to end.
pub fn all(crowd: &mut Crowd<'_>, endings: &[Ending]) -> Ends {
    let grace = crowd.grace();
    within(crowd, endings, grace)
}

/// The same, with so much time for all of them.
pub fn within(crowd: &mut Crowd<'_>, endings: &[Ending], grace: Duration) -> Ends {
    crowd.look();
    let mut failed: BTreeMap<u64, String> = BTreeMap::new();
    let mut inputs: BTreeMap<u64, Stdin> = BTreeMap::new();
    for ending in endings {
        match input(crowd, ending) {
            Ok(stdin) => drop(inputs.insert(ending.tree, stdin)),
            Err(why) => drop(failed.insert(ending.tree, format!("{ending}: {why}"))),
        }
    }
    let held = stdin::holders(&inputs.values().map(|stdin| stdin.inode).collect());
    let mut asked = BTreeSet::new();
    for ending in endings {
        let Some(stdin) = inputs.get(&ending.tree) else {
            continue;
        };
        let mut holders = held.get(&stdin.inode).into_iter().flatten();
        let stranger = holders.find(|pid| crowd.tree_of(**pid) != Some(ending.tree));
        let done = match stranger {
            Some(pid) => Err(format!(
                "its standard input is also held by pid {pid}, outside of it: to end it would end \
                 that one's too; use kill"
            )),
            None => stdin
                .end()
                .map_err(|error| format!("its standard input cannot be ended ({error}); use kill")),
        };
        match done {
            Ok(()) => drop(asked.insert(ending.tree)),
            Err(why) => drop(failed.insert(ending.tree, format!("{ending}: {why}"))),
        }
    }
    drop(inputs);
    for tree in crowd.wait(grace, &asked) {
        if let Some(ending) = endings.iter().find(|ending| ending.tree == tree) {
            let why = format!("{ending} did not end within {grace:?}: use kill");
            failed.insert(tree, why);
        }
    }
    let ends = endings.iter().map(|ending| {
        let processes = crowd.ended(ending.tree);
        let failed = failed.remove(&ending.tree);
        let killed = false;
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

/// The standard input of a tree's root or, where that has ended, of the eldest that is left.
fn input(crowd: &Crowd<'_>, ending: &Ending) -> Result<Stdin, String> {
    let all = crowd.leaves_first(ending.tree);
    let root = all.iter().find(|held| held.pid == ending.root);
    let Some(eldest) = root.or_else(|| all.last()) else {
        return Err("it has ended by itself".to_owned());
    };
    let stdin = Stdin::of(&eldest.fd)?;
    // It was held a moment ago; what was taken from it is its own only if it still is there.
    if crowd.is_there(eldest) {
        Ok(stdin)
    } else {
        Err(format!("pid {} has left it meanwhile", eldest.pid))
    }
}
