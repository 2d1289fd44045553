//! Nuclear by memory: what the host monitor does where counts say nothing and nothing is strict.

use anyhow::{Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::Setup;
use serde_json::Value;

use super::after::After;
use super::levels::Hog;
use super::{Neighbour, Rules, at_level, booted, decided, restarted, servers, serves};
use crate::metamcp::BOOT;
use crate::scene::OnStage;

const SERVERS: usize = 1;

/// More than `restart_over` is in use, and whoever ends trees is switched off: after half a minute the host
/// monitor restarts the container, once, and all is well again.
pub fn by_memory() -> Result<()> {
    const OVER: u64 = 300_000_000;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let neighbour = Neighbour::start(stage)?;
    let rules = Rules {
        levels: [1_000, 2_000, 3_000, 4_000],
        idle: "calm = \"1h\", pressure = \"1h\", lasting = \"1h\"",
        more: String::from(
            "[target.memory]\nrestart_over = \"300MB\"\n[target.restart]\nstop_timeout = \"1s\"\n\
             [target.tiers]\nnuclear_monitor = { on = false }\nresource_enforcer = { on = false }\n",
        ),
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let setup = Setup {
        options: &["--memory", "2g"],
        ..servers(SERVERS)
    };
    let stand = booted(stage, &setup)?;
    let gateway = &stand.gateway;
    let before = gateway.container.pid()?;
    let mut hog = Hog::start(stage)?;
    hog.until(&guard, OVER + 20_000_000)?;
    let target = at_level(&guard, "nuclear")?;
    ensure!(
        target["level_why"].to_string().contains("memory"),
        "{target}"
    );
    restarted(&guard, gateway, before)?;
    hog.end()?;
    eventually("it serves again", BOOT, || Ok(gateway.state().is_ok()))?;
    gateway.settled(BOOT)?.ensure_no_error()?;
    let calm = at_level(&guard, "normal")?;
    same("restarts", &calm["restarts"], &Value::from(1))?;
    let all = decided(&guard, "restart");
    same("decisions", all.len(), 1)?;
    ensure!(
        all.iter().all(|one| one["tier"] == "host_monitor"),
        "{all:?}"
    );
    serves(gateway, SERVERS)?;
    After {
        guard: &guard,
        spine: None,
        neighbour: Some(&neighbour),
        did: &["restart"],
        calm: true,
    }
    .ensure()?;
    guard.agent.stop_cleanly().map(drop)
}
