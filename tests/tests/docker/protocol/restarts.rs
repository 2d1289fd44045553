//! What the host monitor does when ending trees is not enough.

use std::time::Duration;

use anyhow::{Result, ensure};
use guard_tests::check::{eventually, same};

use super::after::{After, escalated};
use super::{NUCLEAR, Neighbour, Rules, booted, decided, restarted, servers};
use crate::metamcp::{BOOT, PATIENCE};
use crate::scene::{OnStage, SOON};

/// With `strict` a count of more than nuclear restarts the container, one that explodes again makes it
/// anew, and a third time nothing is done but said.
pub fn strict() -> Result<()> {
    const SERVERS: usize = 10;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let neighbour = Neighbour::start(stage)?;
    let rules = Rules {
        allowed: 1,
        processes: "strict = true",
        more: "[target.tiers]\nnuclear_monitor = { on = false }\n\
               [target.restart]\nstop_timeout = \"1s\"\n"
            .to_owned(),
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let stand = booted(stage, &servers(SERVERS))?;
    let gateway = &stand.gateway;
    let before = gateway.container.pid()?;
    let explode = || {
        // Some may fail: it is restarted under them.
        let sessions = u32::try_from(NUCLEAR / SERVERS as u64 + 2)?;
        gateway
            .storm(sessions, Duration::ZERO, Duration::from_secs(20))
            .map(drop)
    };
    explode()?;
    restarted(&guard, gateway, before)?;
    same("restarts", decided(&guard, "restart").len(), 1)?;
    same("not yet", decided(&guard, "recreate").len(), 0)?;
    eventually("it serves again", BOOT, || Ok(gateway.state().is_ok()))?;
    gateway.settled(BOOT)?.ensure_no_error()?;
    let id = gateway.container.id().to_owned();
    explode()?;
    eventually("it is made anew", SOON, || {
        let now =
            stage
                .docker
                .output(&["ps", "-q", "--no-trunc", "--filter", "name=^/metamcp$"])?;
        Ok(!now.trim().is_empty() && now.trim() != id)
    })?;
    same("restarts", decided(&guard, "restart").len(), 1)?;
    same("made anew", decided(&guard, "recreate").len(), 1)?;
    eventually("it serves again", BOOT, || Ok(gateway.state().is_ok()))?;
    let now = stage
        .docker
        .output(&["ps", "-q", "--no-trunc", "--filter", "name=^/metamcp$"])?;
    let anew = guard_tests::docker::Container::adopt(&stage.docker, now.trim(), "metamcp");
    gateway.settled(BOOT)?;
    explode()?;
    let session = gateway.open()?;
    let answer = gateway.list(&session, PATIENCE);
    ensure!(
        answer.servers.len() == SERVERS,
        "it was restarted again: {answer}"
    );
    same("restarts", decided(&guard, "restart").len(), 1)?;
    same("made anew", decided(&guard, "recreate").len(), 1)?;
    escalated(&guard, 3, "after a restart")?;
    let own = guard.get("/api/v1/logs/host_monitor")?;
    let [restarts, recreates] =
        ["restart", "recreate"].map(|deed| format!("\"action\":\"{deed}\""));
    ensure!(own.contains(&restarts) && own.contains(&recreates), "{own}");
    let others = guard.get("/api/v1/logs/resource_enforcer")?;
    ensure!(!others.contains(&restarts), "{others}");
    After {
        guard: &guard,
        spine: None,
        neighbour: Some(&neighbour),
        did: &["restart", "recreate"],
        calm: false,
    }
    .ensure()?;
    drop(anew);
    guard.agent.stop_cleanly().map(drop)
}
