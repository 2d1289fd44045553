//! Every way of making a process: first by the witness alone, then by the guard beside it.

use anyhow::Result;
use guard_tests::check::same;
use guard_tests::guarded::WIDE;
use guard_tests::{Cgroup, Storm, Witness};

use crate::scene::Scene;

/// A storm, and the spawns, threads and execs that it is made of.
const WAYS: [(&[&str], u64, u64, u64); 18] = [
    (&["forks", "100"], 100, 0, 0),
    (&["forks", "100", "--parallel", "4"], 100, 4, 0),
    (&["execs", "20", "--hold", "50"], 20, 1, 20),
    (&["execs", "20", "--hold", "50", "--vfork"], 20, 1, 20),
    (&["vfork", "20"], 20, 20, 20),
    (&["twin-exit", "50"], 50, 50, 0),
    (&["thread-exec", "20"], 20, 20, 20),
    (&["threads", "100"], 0, 100, 0),
    (&["trees", "5", "--hold", "20"], 15, 1, 15),
    (&["bomb", "5", "--hold", "20", "--seconds", "60"], 31, 0, 0),
    (&["sleepers", "20", "--hold", "20"], 20, 0, 0),
    (&["leader-first", "20"], 20, 20, 0),
    (&["leader-first", "20", "--exec"], 20, 20, 20),
    (&["siblings", "20"], 40, 0, 0),
    (&["orphans", "10"], 30, 0, 0),
    (&["by-descriptor", "20"], 20, 0, 20),
    (&["by-descriptor", "20", "--memory"], 20, 0, 20),
    (&["same-pid", "60"], 60, 0, 30),
];

pub fn by_the_witness() -> Result<()> {
    for (arguments, spawns, threads, execs) in WAYS {
        let cgroup = Cgroup::new("witness")?;
        let witness = Witness::watch(&cgroup)?;
        let report = Storm::run(&cgroup, arguments)?;
        let seen = witness.counts()?;
        let what = arguments.join(" ");
        same(
            &what,
            (report.refused, report.killed, report.failed),
            (0, 0, 0),
        )?;
        same(
            &what,
            (seen.spawns, seen.threads, seen.execs),
            (spawns, threads, execs),
        )?;
        same(
            &what,
            (seen.entered, seen.exits, seen.left),
            (1, spawns + 1, 0),
        )?;
        same(&what, (seen.live, seen.running, seen.tasks), (0, 0, 0))?;
    }
    Ok(())
}

pub fn by_the_guard() -> Result<()> {
    let scene = Scene::set("ways", WIDE)?;
    let mut before = scene.at_rest()?.counts;
    for (arguments, spawns, threads, execs) in WAYS {
        scene.storm(arguments)?;
        let now = scene.at_rest()?.counts;
        same(
            &arguments.join(" "),
            (
                now.spawns - before.spawns,
                now.threads - before.threads,
                now.execs - before.execs,
                now.exits - before.exits,
            ),
            (spawns, threads, execs, spawns + 1),
        )?;
        before = now;
    }
    scene.end()
}
