//! Trees larger than most, and families that may not have many: whole or not at all.

use std::time::Duration;

use anyhow::{Result, ensure};
use guard_tests::check::same;
use guard_tests::docker::metamcp::{Layout, Server, Setup};
use guard_tests::docker::{Parent, Told};

use crate::metamcp::{BOOT, PATIENCE, Stand};
use crate::profile::{RESERVE, SLOTS, guard_with, holds, until};
use crate::scene::OnStage;

/// A browser's processes.
const BROWSER: u64 = 12;
/// A tree that was quiet for so long has the size that it will have (`state/trees.rs`), and a second
/// until the next look.
const GROWN: Duration = Duration::from_secs(20 + 2);
/// An answer in which no server has a part.
const AT_ONCE: Duration = Duration::from_secs(5);

fn browsers(number: u32, late: bool) -> Setup<'static> {
    let each = (0..number).map(|at| Server::browser(&format!("browser-{at}"), late));
    Setup {
        layout: Layout::Direct,
        servers: each.collect(),
        ..Setup::default()
    }
}

/// Five servers of twelve processes boot where three have room, and nearly a fourth: three run, each
/// with all of its processes, and two were refused before they had any.
pub fn large() -> Result<()> {
    const FIT: u64 = 3;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    // What may wait boots once more in the reserve, so that is a tree's.
    let cap = BROWSER + 1 + FIT * BROWSER + BROWSER - 1;
    let guard = guard_with(
        stage,
        &format!(
            "max_processes = {cap}\nreserve = {BROWSER}\ntree = {{ processes = {BROWSER}, spawns = {BROWSER} }}"
        ),
    )?;
    let stand = Stand::start(stage, "metamcp", &browsers(5, false))?;
    let whole = |spawns_refused: usize| -> Result<()> {
        let state = stand.gateway.settled(BOOT)?;
        // One that got a part of its processes would have ended with code 1.
        state.ensure_no_error()?;
        let errors: Vec<&str> = state.refused.iter().map(|one| one.errno.as_str()).collect();
        same("refused", errors, vec!["EAGAIN"; spawns_refused])?;
        let counts = stand.lives("three browsers", 1 + FIT * BROWSER)?;
        same("at most", counts.running_peak, 1 + FIT * BROWSER)?;
        until(&guard, "counted", |target| {
            holds(target, 1 + FIT * BROWSER, FIT, 1 + FIT * BROWSER)
        })?;
        Ok(())
    };
    whole(2)?;
    let answer = stand.gateway.list(&stand.gateway.open()?, AT_ONCE);
    same("listed at once", answer.servers.len() as u64, FIT)?;
    // The three's successors, and the two again.
    whole(2 + 5)?;
    same(
        "killed",
        &guard.target()?["counts"]["killed"],
        &serde_json::Value::from(0),
    )?;
    guard.agent.stop_cleanly().map(drop)
}

/// Trees reserve four, and the family turns out to need twelve: the next ones have twelve from the
/// moment they say what they are, and grow into them when nobody else gets any.
pub fn raised() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    // Three browsers and nearly a tree that is not known yet.
    let cap = RESERVE + 1 + 3 * BROWSER + SLOTS - 1;
    let guard = guard_with(stage, &format!("max_processes = {cap}"))?;
    let stand = Stand::start(stage, "metamcp", &browsers(1, true))?;
    stand.gateway.settled(BOOT)?.ensure_all_idle()?;
    until(&guard, "four are reserved", |target| {
        holds(target, 2, 1, 1 + SLOTS)
    })?;
    let serve = |what: &str| -> Result<()> {
        let answer = stand.gateway.list(&stand.gateway.open()?, PATIENCE);
        ensure!(answer.servers.len() == 1, "{what}: {answer}");
        stand.gateway.settled(BOOT)?.ensure_no_error()
    };
    // The first grows from what is free. Its successor was there before anybody knew.
    serve("the first")?;
    until(&guard, "the first is whole", |target| {
        target["counts"]["live"] == 1 + BROWSER + 1
    })?;
    std::thread::sleep(GROWN);
    serve("the second")?;
    until(&guard, "twelve are reserved for the third", |target| {
        holds(target, 1 + 2 * BROWSER + 1, 3, 1 + 3 * BROWSER)
    })?;
    let before = stand.gateway.settled(BOOT)?.refused.len();
    same("refused so far", before, 0)?;
    serve("the third")?;
    until(
        &guard,
        "the third is whole, and no fourth began",
        |target| holds(target, 1 + 3 * BROWSER, 3, 1 + 3 * BROWSER),
    )?;
    let state = stand.gateway.settled(BOOT)?;
    let errors: Vec<&str> = state.refused.iter().map(|one| one.errno.as_str()).collect();
    same("its successor", errors, vec!["EAGAIN"])?;
    guard.agent.stop_cleanly().map(drop)
}

/// Two of one family may run. Whoever comes third has executed its program by then, which is how its
/// family is known, so it is not refused but without a slot, and ends when it forks. The two that were
/// there serve on, and so does another family.
pub fn most_of_a_family() -> Result<()> {
    const SERVER: &str = "while read -r line; do /bin/echo served; done";
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let guard = guard_with(
        stage,
        "max_processes = 400\nmax_instances = { \"sh wanted*\" = 2 }",
    )?;
    let parent = Parent::new("metamcp")?;
    let files = [
        ("servers.js", include_str!("../../gateways/servers.js")),
        ("wanted.sh", SERVER),
        ("other.sh", SERVER),
    ];
    let command = [stage.image.as_str(), "node", "/opt/told/servers.js"];
    let mut gateway = Told::start(&stage.docker, &parent, "metamcp", &files, &command)?;
    let mut start = |script: &str, number: &str| {
        let said = gateway.say(&format!("start /opt/told/{script}"))?;
        same(script, said.as_str(), number)
    };
    start("wanted.sh", "0")?;
    start("wanted.sh", "1")?;
    until(&guard, "two of it", |target| {
        holds(target, 1 + 2, 2, 1 + 2 * SLOTS) && target["families"][0]["trees"] == 2
    })?;
    start("wanted.sh", "2")?;
    until(&guard, "the third has no slot", |target| {
        holds(target, 1 + 2, 2, 1 + 2 * SLOTS) && target["counts"]["condemned_now"] == 1
    })?;
    start("other.sh", "3")?;
    until(&guard, "another family has", |target| {
        holds(target, 1 + 3, 3, 1 + 3 * SLOTS)
    })?;
    for (number, answer) in [
        ("0", "served"),
        ("1", "served"),
        ("2", "SIGKILL"),
        ("3", "served"),
    ] {
        let said = gateway.say(&format!("ask {number}"))?;
        same(number, said.as_str(), answer)?;
    }
    guard.agent.stop_cleanly().map(drop)
}
