//! A target within a target: the inner one counts and gates, the outer one counts too.

use anyhow::{Result, ensure};
use guard_tests::agent::output;
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, ONLY, Target, WIDE, cap};
use guard_tests::{Cgroup, Storm, Witness};
use guard_userspace::model::status::{Counts, TargetStatus};

use crate::scene::{STAYS, adds_up, gauges};

const INNER: &str = "inner";
const BORN: &str = "born";
/// Slots of the inner one.
const ROOM: u64 = 10;
/// Of them taken from the beginning.
const SITTING: u64 = 4;

/// Who forks, executes and ends in either is counted in the outer one, by an agent that was there, by the
/// next one, and when the inner one is no target any more; its cap is for its own.
pub fn counts_in_both() -> Result<()> {
    let outer = Cgroup::new("within")?;
    let inner = outer.nested(INNER)?;
    let witness = Witness::watch(&outer)?;
    // The storm that forks them is one of them.
    let hold = |number: &str| ["sleepers", number, "--hold", STAYS].map(str::to_owned);
    let sit = |cgroup: &Cgroup, number: &str| -> Result<Storm> {
        let words = hold(number);
        let mut storm = Storm::start(cgroup, &words.each_ref().map(String::as_str))?;
        storm.ready()?;
        Ok(storm)
    };
    let sitting = [sit(&outer, "5")?, sit(&inner, "3")?];
    let paths = [
        outer.path().to_owned(),
        inner.path().to_owned(),
        outer.path().join(BORN),
    ]
    .map(|path| path.display().to_string());
    let [all, within, born] = &paths;
    let narrow = cap(ROOM);
    let targets = [
        (ONLY, all, WIDE),
        (INNER, within, narrow.as_str()),
        (BORN, born, WIDE),
    ]
    .map(|(name, path, gate)| Target { name, path, gate });
    let mut guarded = Guarded::begin_all("info", "on_agent_exit = \"keep\"", &targets, &[])?;
    // The outer one first, as the config has them: the inner one takes over what is its.
    guarded.ready(ONLY)?;
    guarded.ready(INNER)?;
    sits(&guarded, (10, 6), SITTING)?;
    let adopted = guarded.target(ONLY)?;
    same("who was there is no spawn", adopted.counts.spawns, 0)?;
    same("within", adopted.contains, vec![INNER.to_owned()])?;

    // Forks in both; the inner one is held to its cap, the outer one is not.
    let before = witness.counts()?;
    Storm::run(&outer, &["forks", "200"])?;
    let report = Storm::run(&inner, &["execs", "40", "--hold", "300"])?;
    let room = ROOM - SITTING - 1;
    same("executed in the inner one", report.executed, room)?;
    sits(&guarded, (10, 6), SITTING)?;
    let seen = witness.counts()?;
    let (said, held) = (guarded.target(ONLY)?.counts, guarded.target(INNER)?.counts);
    same(
        "forked, executed, ended",
        (said.spawns, said.execs, said.exits),
        (
            seen.spawns - before.spawns,
            seen.execs - before.execs,
            seen.exits - before.exits,
        ),
    )?;
    same("peak of the inner one", held.peak_live, ROOM)?;
    same("stopped", said.denied + said.killed, 40 - room)?;
    same("stopped", held.denied + held.killed, 40 - room)?;
    ensure!(said.peak_live < 6 + ROOM, "its own alone: {said:?}");

    // One that is made within it is its own from its first process, twice.
    for round in 1..=2 {
        let child = outer.nested(BORN)?;
        Storm::run(&child, &["forks", "100"])?;
        guarded.until_of(BORN, "100 more", |said| said.counts.spawns == round * 100)?;
        drop(child);
        guarded.until_of(BORN, "gone", |said| !said.armed)?;
    }
    let last = later(&guarded, &said, 200)?;

    // Another agent counts on.
    let mut guarded = guarded.kill_and_leave()?.start()?;
    guarded.hears(INNER, "armed", &[])?;
    sits(&guarded, (10, 6), SITTING)?;
    let counts = guarded.target(ONLY)?.counts;
    same("counts after the restart", &counts, &last)?;
    let restarted = counts.spawns;
    Storm::run(&inner, &["forks", "50"])?;
    let last = later(&guarded, &last, 50)?;

    // Nobody's target any more: the outer one counts and holds them by itself.
    let asked = output(&["--socket", &guarded.socket, "disarm", INNER])?;
    ensure!(asked.status.success(), "disarm: {asked:?}");
    sits(&guarded, (10, 10), 0)?;
    let last = later(&guarded, &last, 0)?;
    Storm::run(&inner, &["forks", "50"])?;
    let last = later(&guarded, &last, 50)?;
    same("the inner one", guarded.target(INNER)?.armed, false)?;

    outer.kill()?;
    sitting.into_iter().try_for_each(Storm::killed)?;
    let said = guarded.until("all gone", |said| gauges(said) == [0; 4])?;
    adds_up(&said.counts)?;
    same("the witness's", witness.counts()?.live, 0)?;
    let inner = guarded.target(INNER)?;
    same("gauges of the inner one", gauges(&inner), [0; 4])?;
    adds_up(&inner.counts)?;

    // The log of this agent tells the same, of the inner one's forks too.
    let said = guarded.agent.stop_cleanly()?;
    let lines = said.iter().filter(|line| {
        let is = |name: &str, value: &str| line.get(name).is_some_and(|it| it == value);
        is("event", "spawn_rate") && is("target", ONLY)
    });
    let spawns = lines.filter_map(|line| line.get("spawns")?.as_u64());
    same(
        "spawns in lines",
        spawns.sum::<u64>(),
        last.spawns - restarted,
    )
}

/// Waits until so many live in the outer one, of whom so many hold its slots, and so many in the inner one.
fn sits(guarded: &Guarded, (live, own): (u64, u64), inner: u64) -> Result<()> {
    let is = |said: &TargetStatus| (said.counts.live, said.counts.tasks, said.committed);
    let said = guarded.until("who lives in the outer one", |said| {
        is(said) == (live, live, own)
    })?;
    adds_up(&said.counts)?;
    let said = guarded.until_of(INNER, "who lives in the inner one", |said| {
        is(said) == (inner, inner, inner)
    })?;
    adds_up(&said.counts)
}

/// The outer one's counts, once that many forks more are in them; nothing of them went back.
fn later(guarded: &Guarded, before: &Counts, forks: u64) -> Result<Counts> {
    let spawns = before.spawns + forks;
    let counts = guarded
        .until("its forks", |said| {
            said.counts.spawns == spawns && said.counts.live == 10
        })?
        .counts;
    for (now, then) in totals(&counts).into_iter().zip(totals(before)) {
        ensure!(now >= then, "{counts:?} after {before:?}");
    }
    adds_up(&counts)?;
    Ok(counts)
}

fn totals(counts: &Counts) -> [u64; 7] {
    [
        counts.spawns,
        counts.execs,
        counts.exits,
        counts.entered,
        counts.left,
        counts.denied,
        counts.condemned,
    ]
}
