//! The cap that is found out: what memory carries, fixed when a container has started.

use std::time::Duration;

use anyhow::{Result, ensure};
use guard_tests::check::same;
use guard_tests::docker::metamcp::{Layout, Server, Setup};
use serde_json::Value;

use crate::metamcp::{BOOT, PATIENCE, Stand};
use crate::profile::{SLOTS, guard_with, until, untouched};
use crate::scene::OnStage;
use crate::table;

/// 80 % of 4 GiB by the 17 MB that a process is taken to need before that is measured.
const STARTING: u64 = 202;
/// The least that memory is said to carry.
const LEAST: u64 = 100;
const SERVERS: usize = 15;

/// Servers by node alone need more memory each than is assumed, so the cap falls below the slots that
/// are taken: no tree loses what it has, nothing is let in until there is room, and nobody dies.
pub fn fixed_and_lowered() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let guard = guard_with(stage, "max_processes = \"auto\"")?;
    let setup = Setup {
        layout: Layout::Direct,
        servers: Server::node(SERVERS),
        patience: PATIENCE,
        options: &["--memory", "4g"],
        ..Setup::default()
    };
    let stand = Stand::start(stage, "metamcp", &setup)?;
    let gateway = &stand.gateway;
    untouched(&guard, &gateway.settled(BOOT)?)?;
    let report = gateway.storm(2, Duration::ZERO, PATIENCE)?;
    same("served", report.first_with(SERVERS), 2)?;
    untouched(&guard, &gateway.settled(BOOT)?)?;
    let trees = 3 * SERVERS as u64;
    let taken = 1 + SLOTS * trees;
    let full = |target: &Value| target["counts"]["trees"] == trees && target["committed"] == taken;
    let before = until(&guard, "all are counted", full)?;
    same("the cap of the start", cap(&before), STARTING)?;

    let after = until(&guard, "the start is over", |target| {
        cap(target) != STARTING
    })?;
    let fixed = cap(&after);
    ensure!((LEAST..taken).contains(&fixed), "fixed at {fixed}: {after}");
    // One second later all would be gone that goes.
    std::thread::sleep(Duration::from_secs(2));
    let later = guard.target()?;
    ensure!(full(&later) && cap(&later) == fixed, "{later}");

    // A third session takes the idle ones, and what is to replace them has no room.
    let third = gateway.open()?;
    let answer = gateway.list(&third, PATIENCE);
    ensure!(
        answer.servers.len() == SERVERS,
        "it took the idle ones: {answer}"
    );
    let state = gateway.settled(BOOT)?;
    state.ensure_no_error()?;
    same("spawns refused", state.refused.len(), SERVERS)?;
    let target = guard.target()?;
    ensure!(full(&target), "nothing came or went: {target}");

    for session in [report.id(0)?, report.id(1)?, &third] {
        gateway.end(session)?;
    }
    // The gateway may have idle ones again by then.
    let idle = 1 + SLOTS * SERVERS as u64;
    until(&guard, "there is room", |target| {
        target["committed"]
            .as_u64()
            .is_some_and(|taken| taken <= idle)
    })?;
    gateway.settled(BOOT)?.ensure_no_error()?;
    let fourth = gateway.open()?;
    let mut answer = gateway.list(&fourth, PATIENCE);
    if answer.servers.len() < SERVERS {
        // Its servers and the next idle ones asked for the last room together; the next list heals.
        gateway.settled(BOOT)?.ensure_no_error()?;
        answer = gateway.list(&fourth, PATIENCE);
    }
    ensure!(answer.servers.len() == SERVERS, "there is room: {answer}");
    gateway.settled(BOOT)?.ensure_no_error()?;
    let target = guard.target()?;
    ensure!(target["counts"]["killed"] == 0, "{target}");
    same("the cap", cap(&target), fixed)?;
    table::note(format!(
        "auto cap with 4 GiB: {STARTING} while the container starts, then {fixed}; {taken} slots were taken"
    ));
    guard.agent.stop_cleanly().map(drop)
}

fn cap(target: &Value) -> u64 {
    target["limits"]["max_processes"]
        .as_u64()
        .unwrap_or_default()
}
