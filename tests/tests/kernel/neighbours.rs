//! What is beside a target at its cap: another target, and a cgroup that nobody guards.

use anyhow::{Result, ensure};
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, Target, WIDE, cap};
use guard_tests::{Cgroup, Storm, Witness};
use guard_userspace::model::status::TargetStatus;

use crate::scene::gauges;

pub fn feel_nothing() -> Result<()> {
    const CAP: u64 = 10;
    let [hog, calm, stranger] = ["hog", "calm", "stranger"].map(Cgroup::new);
    let (hog, calm, stranger) = (hog?, calm?, stranger?);
    let [hog_path, calm_path] = [&hog, &calm].map(|cgroup| cgroup.path().display().to_string());
    let narrow = cap(CAP);
    let targets = [
        Target {
            name: "hog",
            path: &hog_path,
            gate: &narrow,
        },
        Target {
            name: "calm",
            path: &calm_path,
            gate: WIDE,
        },
    ];
    let mut guarded = Guarded::begin_all("info", "", &targets, &[])?;
    guarded.ready("hog")?;
    guarded.ready("calm")?;

    // Far more than the neighbours need; it is killed when they are done.
    let storm = Storm::start(&hog, &["execs", "20000", "--pace-us", "3000"])?;
    let pressed = |more: u64| -> Result<u64> {
        let mut stopped = 0;
        let enough = |said: &TargetStatus| {
            stopped = said.counts.denied + said.counts.killed;
            said.counts.live == CAP && stopped > more
        };
        guarded.until_of("hog", "at its cap, and stopped there", enough)?;
        Ok(stopped)
    };
    let before = pressed(0)?;
    for cgroup in [&calm, &stranger] {
        let witness = Witness::watch(cgroup)?;
        let report = Storm::run(cgroup, &["execs", "100", "--hold", "200"])?;
        same(
            "executed, refused, killed, failed beside it",
            (
                report.executed,
                report.refused,
                report.killed,
                report.failed,
            ),
            (100, 0, 0, 0),
        )?;
        let seen = witness.counts()?;
        same(
            "ran, and still there",
            (seen.ran, seen.live, seen.tasks),
            (101, 0, 0),
        )?;
    }
    // All that time it was held.
    pressed(before)?;
    hog.kill()?;
    storm.killed()?;

    let said = guarded.until_of("hog", "all gone", |said| gauges(said) == [0; 4])?;
    ensure!(said.counts.peak_live == CAP, "{said:?}");
    let said = guarded.until_of("calm", "all gone", |said| gauges(said) == [0; 4])?;
    let counts = &said.counts;
    same(
        "calm: spawns, execs, exits, stopped",
        (
            (counts.spawns, counts.execs, counts.exits),
            counts.denied + counts.condemned + counts.killed,
        ),
        ((100, 100, 101), 0),
    )?;
    let names = guarded.status()?.targets.into_iter().map(|said| said.name);
    same(
        "targets",
        names.collect(),
        vec!["hog".to_owned(), "calm".to_owned()],
    )?;
    guarded.agent.stop_cleanly().map(drop)
}
