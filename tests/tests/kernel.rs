//! The kernel side on a real kernel, held against the witness.

use anyhow::Result;
use guard_tests::check::same;
use guard_tests::{Cgroup, Storm, Witness};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let tests = vec![trial(
        "the_witness_counts_every_way_of_making_a_process",
        witness_itself,
    )];
    libtest_mimic::run(&arguments, tests).exit();
}

fn trial(name: &str, test: fn() -> Result<()>) -> Trial {
    Trial::test(name, move || {
        test().map_err(|error| format!("{error:#}").into())
    })
}

fn witness_itself() -> Result<()> {
    for (arguments, spawns, threads, execs) in [
        (&["forks", "500"][..], 500, 0, 0),
        (&["forks", "500", "--parallel", "4"], 500, 4, 0),
        (&["execs", "50", "--hold", "50"], 50, 1, 50),
        (&["execs", "50", "--hold", "50", "--vfork"], 50, 1, 50),
        (&["vfork", "50"], 50, 50, 50),
        (&["twin-exit", "200"], 200, 200, 0),
        (&["thread-exec", "50"], 50, 50, 50),
        (&["threads", "200"], 0, 200, 0),
        (&["trees", "10", "--hold", "20"], 30, 1, 30),
        (&["bomb", "6", "--hold", "20", "--seconds", "10"], 63, 0, 0),
        (&["sleepers", "20", "--hold", "20"], 20, 0, 0),
    ] {
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
