//! Tables that are full: what they have no room for is refused and counted, and nothing is kept of it.
//!
//! They are those of the agent that runs, filled with entries of processes, trees and cgroups that do
//! not exist, in part by the program that adopts what does; and emptied again.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use aya::Pod;
use aya::maps::{HashMap, MapData};
use guard_common::TreeEntry;
use guard_common::abi::{Control, MAX_PROCESSES};
use guard_common::tree::force::Post;
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY, SOON, Target, cap};
use guard_tests::load::tally::Report;
use guard_tests::suite::cannot_here;
use guard_tests::tables::{Held, NOBODYS, Tables};
use guard_tests::{Actor, Cgroup, Storm, Witness, place};
use guard_userspace::model::status::{Counts, TargetStatus};

use crate::scene::{Scene, expected, gauges, refuses, settles};

/// The slot of the only target.
const SLOT: u32 = 0;

/// A slot that no target has.
const OTHER: u32 = 300;

/// The largest cap that there is.
const FAR: u64 = MAX_PROCESSES as u64;

/// What is counted once so many have met a full table and all have ended. An agent that looks through
/// 65,536 trees is some time behind.
fn after(guarded: &Guarded, before: &Counts, met: u64) -> Result<Counts> {
    let what = format!("{met} met a full table");
    let said = guarded.until(&what, |said| {
        said.counts.table_full - before.table_full == met && gauges(said) == [0; 4]
    })?;
    Ok(said.counts)
}

/// All spawns of a storm met the full table: none ran, and each is counted.
fn none_passed(report: &Report, tried: u64, before: &Counts, now: &Counts) -> Result<()> {
    same("executed", report.executed, 0)?;
    same(
        "refused or killed, failed",
        (report.refused + report.killed, report.failed),
        (tried, 0),
    )?;
    same(
        "met a full table",
        now.table_full - before.table_full,
        tried,
    )?;
    let stopped = |counts: &Counts| counts.denied + counts.killed;
    same("stopped", stopped(now) - stopped(before), tried)
}

/// 65,536 processes are watched: the next fork is refused, or its child condemned. There is room
/// beyond, for what cannot be refused; where that is used up too, it is counted that one is not known.
pub fn of_processes() -> Result<()> {
    let mut scene = Scene::set("processes", &cap(20))?;
    let tables = Tables::of(&scene.guarded.agent)?;
    let adopt = |pids: Range<u32>| -> Result<()> {
        let post = Post::Wrapper.pack();
        for pid in pids {
            let done = tables.control(Control::Adopt, OTHER, [pid.into(), 1, 1, post])?;
            ensure!(done, "process {pid} has no room");
        }
        Ok(())
    };
    let limit = NOBODYS + MAX_PROCESSES;
    adopt(NOBODYS..limit)?;
    let before = scene.guarded.only()?.counts;
    let report = scene.storm(&["execs", "20", "--hold", "0"])?;
    let now = after(&scene.guarded, &before, 20)?;
    none_passed(&report, 20, &before, &now)?;
    let verdict = if refuses()? { "denied" } else { "condemned" };
    let breach = [("limit", "process_table"), ("verdict", verdict)];
    scene.guarded.hears(ONLY, "breach", &breach)?;

    let last = NOBODYS + tables.room("PROCESSES")?;
    adopt(limit..last)?;
    let before = now;
    let report = scene.storm(&["forks", "5"])?;
    same("made by one that nobody knows", report.made, 5)?;
    let now = scene.guarded.until("that one is not known", |said| {
        said.counts.table_full > before.table_full
    })?;
    let now = now.counts;

    for pid in NOBODYS..last {
        let done = tables.control(Control::Forget, OTHER, [pid.into(), 1, 0, 0])?;
        ensure!(done, "process {pid} was not there");
    }
    let before = now;
    let report = scene.storm(&["execs", "40", "--hold", "300"])?;
    same("executed with room again", report.executed, 19)?;
    let now = settles(&scene.guarded, 0, 0)?.counts;
    same("full tables", now.table_full, before.table_full)?;
    same("the witness's", scene.witness.counts()?.live, 0)?;
    nothing_but_its_cgroup(&tables)?;
    same("others", tables.held(OTHER)?, Held::default())?;
    scene.end()
}

fn nothing_but_its_cgroup(tables: &Tables) -> Result<()> {
    let held = Held {
        cgroups: 1,
        ..Held::default()
    };
    same("entries", tables.held(SLOT)?, held)
}

/// Entries that nobody uses, until there is room for no more; gives their keys.
fn fill<K: Pod + Copy, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    room: u32,
    entry: impl Fn(u32) -> (K, V),
) -> Result<Vec<K>> {
    let mut keys = Vec::new();
    for n in 0..=room {
        let (key, value) = entry(n);
        if map.insert(key, value, 0).is_err() {
            return Ok(keys);
        }
        keys.push(key);
    }
    anyhow::bail!("it has room for more than {room}")
}

fn empty<K: Pod + Copy, V: Pod>(map: &mut HashMap<MapData, K, V>, keys: &[K]) -> Result<()> {
    keys.iter()
        .try_for_each(|key| map.remove(key).context("an entry of ours is gone"))
}

/// No tree can be added: a gateway's spawn is refused, or condemned. A member of a tree that is there
/// may fork.
pub fn of_trees() -> Result<()> {
    let cgroup = Cgroup::new("trees")?;
    let witness = Witness::watch(&cgroup)?;
    let guarded = Guarded::protecting(&cgroup, "^gate ", &cap(FAR))?;
    let mut actor = Actor::start(&cgroup)?;
    actor.becomes("gate")?;
    guarded.until("a gateway", |said| said.gateways.len() == 1)?;
    let tables = Tables::of(&guarded.agent)?;
    let mut trees = tables.map::<u64, TreeEntry>("TREES")?;
    let free = TreeEntry {
        account: 0,
        active_ns: 0,
        born_ns: 0,
        root: 0,
        slot: SLOT,
    };
    let keys = fill(&mut trees, tables.room("TREES")?, |n| {
        ((1 << 40) + u64::from(n), free)
    })?;
    let before = guarded.only()?.counts;
    for _ in 0..5 {
        let answer = actor.tree("late", 1)?;
        same("its size", answer.size, 0)?;
        if refuses()? {
            same("refused with", answer.errno, libc::EAGAIN)?;
        }
    }
    guarded.until("each met a full table", |said| {
        said.counts.table_full - before.table_full == 5 && gauges(said) == [1, 1, 0, 1]
    })?;
    empty(&mut trees, &keys)?;
    let root = actor.whole_tree("late", 2)?;
    same("its code", actor.ends(root)?.code, 0)?;
    actor.end()?;
    let said = guarded.until("all gone", |said| gauges(said) == [0; 4])?;
    same("trees", said.counts.trees, 0)?;
    same("the witness's", witness.counts()?.live, 0)?;
    nothing_but_its_cgroup(&tables)?;
    guarded.agent.stop_cleanly().map(drop)
}

/// No cgroup can be tagged: that is counted and said, and what is forked in those that are goes on being
/// counted wherever it goes.
pub fn of_cgroups() -> Result<()> {
    let scene = Scene::set("cgroups", &cap(20))?;
    let tables = Tables::of(&scene.guarded.agent)?;
    let known = scene.cgroup.nested("known")?;
    let mut cgroups = tables.map::<u64, u32>("CGROUPS")?;
    let room = tables.room("CGROUPS")?;
    let keys = fill(&mut cgroups, room, |n| ((1 << 50) + u64::from(n), SLOT))?;
    let unknown = scene.cgroup.nested("unknown")?;
    let told = |said: &TargetStatus| said.counts.table_full == 1;
    scene.guarded.until("it is counted", told)?;
    let said = || {
        let mut events = scene.guarded.agent.events().into_iter();
        Ok(events.any(|line| line.to_string().contains("the table of cgroups is full")))
    };
    eventually("and said", SOON, said)?;
    for cgroup in [&scene.cgroup, &known] {
        let report = Storm::run(cgroup, &["execs", "40", "--hold", "300"])?;
        same("executed", report.executed, 19)?;
        settles(&scene.guarded, 0, 0)?;
    }
    empty(&mut cgroups, &keys)?;
    drop(unknown);
    // There is room again, for the next of that name.
    let unknown = scene.cgroup.nested("unknown")?;
    let report = Storm::run(&unknown, &["execs", "40", "--hold", "300"])?;
    same("executed in the next", report.executed, 19)?;
    let said = settles(&scene.guarded, 0, 0)?;
    same("full tables", said.counts.table_full, 1)?;
    drop((known, unknown));
    nothing_but_its_cgroup(&tables)?;
    scene.end()
}

/// No cgroup can be tagged and no tree added: the canary's own is, and it is refused as ever. A target that
/// fills tables makes the gate neither silent nor seem so.
pub fn of_all_but_the_canary() -> Result<()> {
    let cgroup = Cgroup::new("canary")?;
    let (path, gate) = (cgroup.path().display().to_string(), cap(20));
    let target = Target {
        name: ONLY,
        path: &path,
        gate: &gate,
    };
    let mut guarded = Guarded::begin_all("info", "canary_every = \"1s\"", &[target], &[])?;
    guarded.ready(ONLY)?;
    let tables = Tables::of(&guarded.agent)?;
    let mut cgroups = tables.map::<u64, u32>("CGROUPS")?;
    let tagged = fill(&mut cgroups, tables.room("CGROUPS")?, |n| {
        ((1 << 50) + u64::from(n), OTHER)
    })?;
    let mut trees = tables.map::<u64, TreeEntry>("TREES")?;
    let free = TreeEntry {
        account: 0,
        active_ns: 0,
        born_ns: 0,
        root: 0,
        slot: OTHER,
    };
    let grown = fill(&mut trees, tables.room("TREES")?, |n| {
        ((1 << 40) + u64::from(n), free)
    })?;
    let canary = place::cgroup_root()?.join("metamcp-guard-canary");
    for round in 1..=3 {
        eventually("the canary is out", SOON, || Ok(canary.is_dir()))?;
        eventually("it is back", SOON, || Ok(!canary.is_dir()))?;
        let gate = guarded.status()?.gate;
        let seen = (gate.mode.as_str(), gate.proved);
        same("mode, proved", seen, (expected()?.name(), true))
            .with_context(|| format!("round {round}: {}", gate.why))?;
    }
    empty(&mut cgroups, &tagged)?;
    empty(&mut trees, &grown)?;
    let report = Storm::run(&cgroup, &["execs", "40", "--hold", "300"])?;
    same("executed", report.executed, 19)?;
    settles(&guarded, 0, 0)?;
    nothing_but_its_cgroup(&tables)?;
    guarded.agent.stop_cleanly().map(drop)
}

/// As many forks are under way as can be remembered: the next is refused, and gives back what it took.
pub fn of_forks_under_way() -> Result<()> {
    if !refuses()? {
        return Err(cannot_here("nothing is taken before the fork in this mode"));
    }
    let scene = Scene::set("pending", &cap(20))?;
    let tables = Tables::of(&scene.guarded.agent)?;
    let mut pending = tables.map::<u32, [u64; 4]>("PENDING")?;
    let room = tables.room("PENDING")?;
    let keys = fill(&mut pending, room, |n| (NOBODYS + n, [1, 0, 0, 0]))?;
    let before = scene.guarded.only()?.counts;
    let report = scene.storm(&["execs", "30", "--hold", "0"])?;
    let now = after(&scene.guarded, &before, 30)?;
    none_passed(&report, 30, &before, &now)?;
    same("spawns", now.spawns, 0)?;
    empty(&mut pending, &keys)?;
    let report = scene.storm(&["execs", "30", "--hold", "300"])?;
    same("executed with room again", report.executed, 19)?;
    settles(&scene.guarded, 0, 0)?;
    scene.end()
}
