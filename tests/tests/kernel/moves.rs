//! Ways into a target and out of it beside forks: moved, born in another cgroup, in a nested one.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use anyhow::{Context, Result, ensure};
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, Target, WIDE, cap};
use guard_tests::{Cgroup, Storm};
use guard_userspace::model::status::Counts;

use crate::scene::{STAYS, Scene, adds_up, gauges, settles};

pub fn in_and_out() -> Result<()> {
    let scene = Scene::set("moves", &cap(10))?;
    let outside = Cgroup::new("outside")?;
    let mut storm = scene.start(&["sleepers", "9", "--hold", STAYS])?;
    let pids = storm.ready()?;
    settles(&scene.guarded, 10, 10)?;
    for &pid in pids.iter().take(4) {
        outside.take(pid)?;
    }
    let said = settles(&scene.guarded, 6, 6)?;
    same(
        "entered, left",
        (said.counts.entered, said.counts.left),
        (1, 4),
    )?;
    // Who left has given its slot back: beside the second storm there is room for three.
    let report = scene.storm(&["execs", "20", "--hold", "200"])?;
    same("executed", report.executed, 3)?;
    settles(&scene.guarded, 6, 6)?;

    // Who is moved in cannot be refused: it counts, also over the cap.
    let mut storm_outside = Storm::start(&outside, &["sleepers", "9", "--hold", STAYS])?;
    for pid in storm_outside.ready()? {
        scene.cgroup.take(pid)?;
    }
    for &pid in pids.iter().take(2) {
        scene.cgroup.take(pid)?;
    }
    let said = settles(&scene.guarded, 17, 17)?;
    same(
        "entered, left",
        (said.counts.entered, said.counts.left),
        (13, 4),
    )?;
    let report = scene.storm(&["execs", "5", "--hold", "0"])?;
    same("executed over the cap", report.executed, 0)?;

    scene.cgroup.kill()?;
    storm.killed()?;
    settles(&scene.guarded, 0, 0)?;
    // Those still outside, of whom the witness hears only now.
    same("killed outside", storm_outside.report()?.killed, 9)?;
    outside.kill()?;
    scene.is_empty()?;
    scene.end()
}

/// The spawner is moved out and back all the time. Between a fork and its event, guard and witness
/// may take a move for done at different instants, so only what is certain is compared.
pub fn in_mid_storm() -> Result<()> {
    let scene = Scene::set("moving", WIDE)?;
    let outside = Cgroup::new("moved")?;
    let mut storm = scene.start(&["forks", "1500"])?;
    let (pid, over) = (storm.pid(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            // An error here is the storm's end, which its report tells better.
            while !over.load(SeqCst) && outside.take(pid).is_ok() {
                if scene.cgroup.take(pid).is_err() {
                    break;
                }
            }
        });
        let heard = storm.hear_all();
        over.store(true, SeqCst);
        heard
    })?;
    same("made", storm.report()?.made, 1_500)?;
    let counts = scene.is_empty()?.counts;
    ensure!(
        counts.entered >= 10 && counts.left >= 10,
        "the storm was over before ten moves: {counts:?}"
    );
    ensure!(
        (1..1_500).contains(&counts.spawns),
        "some forks are inside, some outside: {counts:?}"
    );
    scene.end()
}

/// The spawner is moved from one target to another and back all the time, first alone, then with three
/// threads that fork too: each fork is counted in one of the two.
pub fn between_targets() -> Result<()> {
    const FORKS: u64 = 1_500;
    let names = ["here", "there"];
    let [here, there] = names.map(Cgroup::new);
    let (here, there) = (here?, there?);
    let paths = [&here, &there].map(|cgroup| cgroup.path().display().to_string());
    let [here_path, there_path] = &paths;
    let targets = [("here", here_path), ("there", there_path)];
    let targets = targets.map(|(name, path)| Target {
        name,
        path,
        gate: WIDE,
    });
    let mut guarded = Guarded::begin_all("info", "", &targets, &[])?;
    names.into_iter().try_for_each(|name| guarded.ready(name))?;
    let mut before = [Counts::default(), Counts::default()];
    for parallel in ["1", "4"] {
        let forks = FORKS.to_string();
        let mut storm = Storm::start(&here, &["forks", &forks, "--parallel", parallel])?;
        let (pid, over) = (storm.pid(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                // An error here is the storm's end, which its report tells better.
                while !over.load(SeqCst) && there.take(pid).is_ok() {
                    if here.take(pid).is_err() {
                        break;
                    }
                }
            });
            let heard = storm.hear_all();
            over.store(true, SeqCst);
            heard
        })?;
        same("made", storm.report()?.made, FORKS)?;
        let mut sums = [0; 3];
        for (name, before) in names.into_iter().zip(&mut before) {
            let said = guarded.until_of(name, "all gone", |said| gauges(said) == [0; 4])?;
            adds_up(&said.counts).context(name)?;
            let (now, was) = (said.counts, before.clone());
            sums[0] += now.spawns - was.spawns;
            sums[1] += now.exits - was.exits;
            sums[2] += now.entered - was.entered;
            *before = now;
        }
        ensure!(sums[2] > 20, "the storm was over before twenty moves");
        let what = || format!("{parallel} at once, {} moves", sums[2]);
        same("forks", sums[0], FORKS).with_context(what)?;
        // Its own end may come in the middle of a move: then it has left, and entered nothing.
        let ends = FORKS..=FORKS + 1;
        ensure!(ends.contains(&sums[1]), "{} ends, {}", sums[1], what());
    }
    guarded.agent.stop_cleanly().map(drop)
}

/// None here forks into another cgroup after one of the two was killed: the kernel kills the child
/// at birth where the two differ in how often they were (kill_seq in kernel/cgroup/cgroup.c; 8 of 8
/// on 6.18, without any guard).
pub fn born_elsewhere() -> Result<()> {
    let scene = Scene::set("into", &cap(5))?;
    let path = |cgroup: &Cgroup| cgroup.path().display().to_string();
    let into = |n| ["into", n, "--hold", STAYS, "--into"];

    // From the target out of it: a spawn that leaves at once and keeps no slot.
    let outside = Cgroup::new("outside")?;
    let away = path(&outside);
    let storm = scene.start(&[&into("8")[..], &[&away]].concat())?;
    let said = scene
        .guarded
        .until("eight went", |said| said.counts.left == 8)?;
    same("spawns", said.counts.spawns, 8)?;
    settles(&scene.guarded, 1, 1)?;
    outside.kill()?;
    same("killed", storm.report()?.killed, 8)?;
    scene.is_empty()?;

    // Within the target: spawns like any other.
    let nested = scene.cgroup.nested("nested")?;
    let deep = path(&nested);
    let storm = scene.start(&[&into("20")[..], &[&deep]].concat())?;
    let said = scene.guarded.until("at its cap", |said| {
        said.counts.live == 5 && said.counts.denied + said.counts.condemned == 16
    })?;
    same("left", said.counts.left, 8)?;
    same("trees: all are of their parent's", said.counts.trees, 1)?;
    adds_up(&said.counts)?;
    nested.kill()?;
    let report = storm.report()?;
    same(
        "refused or killed, failed",
        (report.refused + report.killed, report.failed),
        (20, 0),
    )?;
    let before = scene.is_empty()?.counts;

    // From outside into the target, as `docker exec` does: entered, also over the cap.
    let stranger = Cgroup::new("stranger")?;
    let target = path(&scene.cgroup);
    let from = Storm::start(&stranger, &[&into("8")[..], &[&target]].concat())?;
    let counts = settles(&scene.guarded, 8, 8)?.counts;
    same(
        "entered, spawns",
        (
            counts.entered - before.entered,
            counts.spawns - before.spawns,
        ),
        (8, 0),
    )?;
    same("the witness's live", scene.witness.counts()?.live, 8)?;
    scene.cgroup.kill()?;
    same("killed", from.report()?.killed, 8)?;
    scene.is_empty()?;
    scene.end()
}

pub fn nested() -> Result<()> {
    let scene = Scene::set("nested", &cap(20))?;
    for round in 1..=2 {
        let child = scene.cgroup.nested("child")?;
        let grandchild = child.nested("grandchild")?;
        for (cgroup, place) in [(&child, "child"), (&grandchild, "grandchild")] {
            let report = Storm::run(cgroup, &["execs", "40", "--hold", "300"])?;
            same(place, report.executed, 19)?;
            scene.at_rest()?;
        }
        let counts = scene.at_rest()?.counts;
        same("entered", counts.entered, 2 * round)?;
        same("peak", counts.peak_live, 20)?;
    }
    // One cap for all of them together.
    let child = scene.cgroup.nested("child")?;
    let mut above = scene.start(&["sleepers", "9", "--hold", STAYS])?;
    above.ready().context("nine above")?;
    let report = Storm::run(&child, &["execs", "40", "--hold", "300"])?;
    same("executed beside ten above", report.executed, 9)?;
    scene.cgroup.kill()?;
    above.killed()?;
    scene.at_rest()?;
    scene.end()
}
