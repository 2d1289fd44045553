//! Arming: of what runs already, in the middle of a storm, and before there is anything.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY, SOON, WIDE, cap};
use guard_tests::{Cgroup, Storm, Witness};
use rustix::process::{Pid, Signal, kill_process};

use crate::scene::{STAYS, adds_up, gauges, settles};

pub fn of_a_running_cgroup() -> Result<()> {
    let cgroup = Cgroup::new("running")?;
    let nested = cgroup.nested("nested")?;
    let witness = Witness::watch(&cgroup)?;
    let mut above = Storm::start(&cgroup, &["sleepers", "150", "--hold", STAYS])?;
    let mut below = Storm::start(&nested, &["sleepers", "50", "--hold", STAYS])?;
    let threads = Storm::start(&nested, &["threads", "40", "--hold", STAYS])?;
    same("above", above.ready()?.len(), 150)?;
    same("below", below.ready()?.len(), 50)?;
    eventually("40 threads", SOON, || Ok(witness.counts()?.threads == 40))?;
    let (live, tasks) = (203, 243);

    // A cap far below what is there ends nobody, and lets nobody in beside them.
    let mut guarded = Guarded::start(&cgroup, &cap(100), &[])?;
    let armed = guarded.hears(ONLY, "armed", &[])?;
    same("adopted", armed.get("adopted").cloned(), Some(live.into()))?;
    let said = settles(&guarded, live, tasks)?;
    let seen = witness.counts()?;
    same("the witness's", (seen.live, seen.tasks), (live, tasks))?;
    same(
        "spawns",
        (said.counts.spawns, said.counts.entered),
        (0, live),
    )?;
    let report = Storm::run(&nested, &["execs", "20", "--hold", "0"])?;
    same("executed", report.executed, 0)?;
    let said = settles(&guarded, live, tasks)?;
    same("stopped", said.counts.denied + said.counts.killed, 20)?;

    cgroup.kill()?;
    for storm in [above, below, threads] {
        storm.killed()?;
    }
    let said = guarded.until("all gone", |said| gauges(said) == [0; 4])?;
    adds_up(&said.counts)?;
    same("the witness's", witness.counts()?.live, 0)?;
    guarded.agent.stop_cleanly().map(drop)
}

/// Sleepers that must be found, beside forks that come and go until after the arming.
pub fn in_mid_storm() -> Result<()> {
    let cgroup = Cgroup::new("storming")?;
    let witness = Witness::watch(&cgroup)?;
    let mut sleepers = Storm::start(&cgroup, &["sleepers", "60", "--hold", STAYS])?;
    same("sleepers", sleepers.ready()?.len(), 60)?;
    let armed = AtomicBool::new(false);
    let (guarded, made) = thread::scope(|scope| {
        let churn = scope.spawn(|| -> Result<u64> {
            let mut made = 0;
            while !armed.load(SeqCst) {
                made += Storm::run(&cgroup, &["forks", "300", "--parallel", "4"])?.made;
            }
            Ok(made)
        });
        let guarded = Guarded::start(&cgroup, WIDE, &[]);
        armed.store(true, SeqCst);
        (guarded, churn.join())
    });
    let guarded = guarded?;
    let Ok(made) = made else {
        bail!("the storm's thread panicked")
    };
    let made = made.context("the storm")?;
    let said = settles(&guarded, 61, 61)?;
    let seen = witness.counts()?;
    same("the witness's", (seen.live, seen.tasks), (61, 61))?;
    same("forks", seen.spawns, made + 60)?;
    ensure!(
        (1..made).contains(&said.counts.spawns),
        "armed between storms, not in one: {said:?}"
    );
    // From then on nothing differs.
    let before = said.counts;
    Storm::run(&cgroup, &["forks", "1000", "--parallel", "4"])?;
    let counts = settles(&guarded, 61, 61)?.counts;
    same(
        "spawns, threads, exits",
        (
            counts.spawns - before.spawns,
            counts.threads - before.threads,
            counts.exits - before.exits,
        ),
        (1_000, 4, 1_001),
    )?;
    cgroup.kill()?;
    sleepers.killed()?;
    let said = guarded.until("all gone", |said| gauges(said) == [0; 4])?;
    adds_up(&said.counts)?;
    guarded.agent.stop_cleanly().map(drop)
}

/// At nearly any moment one of them has told its end and is still there, no zombie yet: whoever is
/// adopted then must not be waited for.
pub fn of_what_ends() -> Result<()> {
    let cgroup = Cgroup::new("ending")?;
    let witness = Witness::watch(&cgroup)?;
    let storm = Storm::start(&cgroup, &["slow-ends", "100000"])?;
    let guarded = Guarded::start(&cgroup, WIDE, &[])?;
    let said = guarded.only()?;
    ensure!(said.counts.entered >= 1, "it was there: {said:?}");
    cgroup.kill()?;
    storm.killed()?;
    let said = guarded.until("all gone", |said| gauges(said) == [0; 4])?;
    adds_up(&said.counts)?;
    same("the witness's", witness.counts()?.live, 0)?;
    guarded.agent.stop_cleanly().map(drop)
}

/// Threads come and go all the time while their process is adopted. A count that drifted then would
/// stay wrong for as long as the process lives.
pub fn of_coming_threads() -> Result<()> {
    let cgroup = Cgroup::new("threads")?;
    let witness = Witness::watch(&cgroup)?;
    let storms = [(); 2].map(|()| Storm::start(&cgroup, &["thread-churn", "100000"]));
    let storms: Vec<Storm> = storms.into_iter().collect::<Result<_>>()?;
    let guarded = Guarded::start(&cgroup, WIDE, &[])?;
    let said = guarded.only()?;
    ensure!(said.counts.entered >= 2, "they were there: {said:?}");
    for storm in &storms {
        stop(storm.pid())?;
    }
    // What is stopped stands still: each has its first thread, and perhaps one more.
    let tasks = tasks(&cgroup)?;
    settles(&guarded, 2, tasks)?;
    cgroup.kill()?;
    storms.into_iter().try_for_each(Storm::killed)?;
    let said = guarded.until("all gone", |said| gauges(said) == [0; 4])?;
    adds_up(&said.counts)?;
    same("the witness's", witness.counts()?.live, 0)?;
    guarded.agent.stop_cleanly().map(drop)
}

fn stop(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no pid")?, Signal::STOP).context("SIGSTOP")?;
    Ok(())
}

/// Threads that are in a cgroup, once that number stands still.
fn tasks(cgroup: &Cgroup) -> Result<u64> {
    let count = || -> Result<usize> {
        let text = std::fs::read_to_string(cgroup.path().join("cgroup.threads"))?;
        Ok(text.lines().count())
    };
    let (mut last, mut times) = (count()?, 0);
    eventually("the threads stand still", SOON, || {
        let now = count()?;
        times = if now == last { times + 1 } else { 0 };
        last = now;
        Ok(times == 5)
    })?;
    u64::try_from(last).context("too many")
}

/// The storm does not wait for the agent to see the cgroup: the kernel side alone must be in time.
pub fn before_it_exists() -> Result<()> {
    let parent = Cgroup::new("later")?;
    let witness = Witness::watch(&parent)?;
    let path = parent.path().join("child").display().to_string();
    let mut guarded = Guarded::begin(&path, &cap(10), &[])?;
    guarded.hears(ONLY, "waiting", &[])?;
    guarded.hears(ONLY, "action", &[("action", "gate")])?;
    for round in 1..=2 {
        let child = parent.nested("child")?;
        let report = Storm::run(&child, &["execs", "40", "--hold", "300"])?;
        same("executed", report.executed, 9)?;
        // In `deny` the first of them may come before its mounts are marked.
        same("stopped", report.refused + report.killed, 31)?;
        let said = guarded.agrees(&witness)?;
        same("entered", said.counts.entered, round)?;
        same("peak", said.counts.peak_live, 10)?;
        let cgroup = guarded.until("said to be armed", |said| said.armed)?.cgroup;
        let cgroup = cgroup.context("armed, and no cgroup")?;
        same(
            "from birth, adopted",
            (cgroup.from_birth, cgroup.adopted),
            (true, 0),
        )?;
        drop(child);
        guarded.until("disarmed", |said| !said.armed)?;
    }
    guarded.agent.stop_cleanly().map(drop)
}
