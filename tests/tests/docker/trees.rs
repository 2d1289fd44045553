//! Trees larger than most, and families that may not have many: whole or not at all.

use std::time::Duration;

use anyhow::{Result, ensure};
use guard_tests::check::same;
use guard_tests::docker::gateway::Gateway;
use guard_tests::docker::metamcp::{Layout, Server, Setup};
use guard_tests::docker::{Parent, storm};

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

/// Two of one family may run: whoever comes third is refused in a way that its client hears of, and
/// those that were there serve on. It has executed its program by then, which is how its family is
/// known, so it is ended and not refused; a gateway that counts crashes counts it.
pub fn most_of_a_family() -> Result<()> {
    const MOST: usize = 2;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let limit = format!("max_instances = {{ \"npx *server-memory\" = {MOST} }}");
    let guard = guard_with(stage, &format!("max_processes = 400\n{limit}"))?;
    let parent = Parent::new("metamcp")?;
    let gateway = Gateway::start(&stage.docker, &stage.image, &parent, "metamcp", &[])?;
    let course = storm::leak(&gateway, 2 * MOST, 1, Duration::from_secs(20))?;
    same("served", (course.served(), course.kept), (MOST, MOST))?;
    same("heard of it", course.failed(), MOST)?;
    ensure!(gateway.container.runs()?, "the gateway died: {course}");
    // The gateway and two trees of four: its shell, npm, npm's shell, the server.
    until(&guard, "two of it", |target| {
        holds(target, 1 + 2 * SLOTS, MOST as u64, 1 + 2 * SLOTS)
            && target["families"][0]["trees"] == MOST
    })?;
    guard.agent.stop_cleanly().map(drop)
}
