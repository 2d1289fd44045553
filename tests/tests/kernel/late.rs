//! Who becomes a gateway when it has children already, by `protect`.

use anyhow::{Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY, SOON};
use guard_tests::{Actor, Cgroup, Witness};
use guard_userspace::model::status::TargetStatus;
use serde_json::Value;

use crate::scene::{adds_up, gauges};

/// Slots that are reserved for each tree.
const TREE: u64 = 8;

/// What `protect` means here.
const GATE: &str = "^gate ";

fn gate() -> String {
    format!(
        "max_processes = 1000\nspawn_rate = 1000000\nspawn_burst = 1000000\ntree = {{ processes = {TREE}, spawns = 1, settle = \"120s\" }}"
    )
}

fn sum(said: &TargetStatus) -> (u64, u64, u64, usize) {
    (
        said.counts.live,
        said.committed,
        said.counts.trees,
        said.gateways.len(),
    )
}

/// All has ended: nothing is left of accounts, slots or roles.
fn nothing_is_left(guarded: &Guarded, witness: &Witness) -> Result<()> {
    // Orphans end by themselves, a moment after who made them.
    guarded.until("nobody lives", |said| gauges(said) == [0; 4])?;
    let said = guarded.agrees(witness)?;
    same("gauges of an empty cgroup", gauges(&said), [0; 4])?;
    same("trees left", said.counts.trees, 0)?;
    adds_up(&said.counts)?;
    let empty = |said: &TargetStatus| said.gateways.is_empty() && said.families.is_empty();
    guarded.until("nobody is shown any more", empty).map(drop)
}

/// A root with three children, one of which has two: nothing of what was reserved for it stays
/// reserved, and the children are trees as large as they are. What it spawns then has a whole
/// reservation, whether it executes anything or not; only who executes can become a gateway.
pub fn with_children() -> Result<()> {
    let cgroup = Cgroup::new("late")?;
    let witness = Witness::watch(&cgroup)?;
    let guarded = Guarded::protecting(&cgroup, GATE, &gate())?;
    let mut actor = Actor::start(&cgroup)?;
    for size in [1, 3, 1] {
        actor.fork(size)?;
    }
    guarded.until("one tree within its reservation", |said| {
        sum(said) == (6, TREE, 1, 0)
    })?;
    actor.becomes("gate")?;
    let said = guarded.until("three trees as large as they are", |said| {
        sum(said) == (6, 6, 3, 1) && said.reserved == 0
    })?;
    same(
        "its pid",
        said.gateways.first().map(|one| one.pid),
        Some(actor.pid()),
    )?;
    same(
        "by the largest",
        said.families.iter().map(|family| family.processes).sum(),
        5,
    )?;

    // Its own spawns from now on: one that executes something, and one that does not but has a child.
    let other = actor.whole_tree("other", 1)?;
    let child = actor.fork(2)?;
    guarded.until("two more, each with a reservation", |said| {
        sum(said) == (9, 6 + 2 * TREE, 5, 1) && said.reserved == 2 * TREE - 3
    })?;
    for pid in [other, child] {
        same("its code", actor.ends(pid)?.code, 0)?;
    }
    guarded.until("they are gone with what they had", |said| {
        sum(said) == (6, 6, 3, 1)
    })?;
    actor.end()?;
    nothing_is_left(&guarded, &witness)?;
    guarded.agent.stop_cleanly().map(drop)
}

/// Eighteen children of a gateway are gateways by what they execute: the first fifteen become it, the
/// others are roots like any other, and that is said once.
pub fn sixteen() -> Result<()> {
    let cgroup = Cgroup::new("sixteen")?;
    let witness = Witness::watch(&cgroup)?;
    let guarded = Guarded::protecting(&cgroup, GATE, &gate())?;
    let mut actor = Actor::start(&cgroup)?;
    actor.becomes("gate")?;
    guarded.until("the first gateway", |said| said.gateways.len() == 1)?;
    for _ in 0..18 {
        actor.whole_tree("gate", 1)?;
    }
    guarded.until("sixteen gateways and three trees", |said| {
        sum(said) == (19, 16 + 3 * TREE, 3, 16)
    })?;
    actor.end()?;
    nothing_is_left(&guarded, &witness)?;
    let events = guarded.agent.stop_cleanly()?;
    let full = |event: &&Value| {
        event
            .get("event")
            .is_some_and(|name| name == "gateways_full")
    };
    same("said", events.iter().filter(full).count(), 1)
}

/// The same while three children fork and end all the time, and so do theirs: each is moved to a tree
/// of its own in the middle of that. One storm is told to end, the other is killed.
pub fn in_mid_storm() -> Result<()> {
    let cgroup = Cgroup::new("late-storm")?;
    let witness = Witness::watch(&cgroup)?;
    let guarded = Guarded::protecting(&cgroup, GATE, &gate())?;
    for killed in [false, true] {
        let before = guarded.agrees(&witness)?.counts;
        let mut actor = Actor::start(&cgroup)?;
        for _ in 0..3 {
            actor.churn(2)?;
        }
        eventually("all of them fork", SOON, || {
            Ok(guarded.only()?.counts.spawns > before.spawns + 100)
        })?;
        let started = guarded.only()?.counts.spawns;
        actor.becomes("gate")?;
        let said = guarded.until("three trees of their own", |said| {
            said.gateways.len() == 1 && said.counts.trees == 3
        })?;
        ensure!(
            said.counts.spawns > started + 10,
            "nobody forked meanwhile: {said:?}"
        );
        // They go on, in their own trees.
        guarded.until("they fork on", |now| {
            now.counts.spawns > said.counts.spawns + 100
        })?;
        if killed {
            cgroup.kill()?;
            drop(actor);
        } else {
            actor.end()?;
        }
        nothing_is_left(&guarded, &witness)?;
    }
    let counts = guarded.target(ONLY)?.counts;
    same(
        "denied, condemned, killed",
        (counts.denied, counts.condemned, counts.killed),
        (0, 0, 0),
    )?;
    guarded.agent.stop_cleanly().map(drop)
}
