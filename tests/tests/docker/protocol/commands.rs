//! The same by hand: `crisis` on a container that leaks, and `validate` when it is over.

use anyhow::{Result, ensure};
use guard_tests::check::same;

use super::after::{After, Spine, ask};
use super::{Rules, booted, leak, servers, serves};
use crate::metamcp::BOOT;
use crate::profile::until;
use crate::scene::OnStage;

/// Nothing acts by itself (the enforcer looks, and has nothing to do). `validate` says that it is not
/// over, `crisis` cleans up and needs no restart, and then `validate` passes.
pub fn crisis() -> Result<()> {
    const SERVERS: usize = 3;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let rules = Rules {
        more: "[target.tiers]\nnuclear_monitor = { on = false }\nhost_monitor = { on = false }\n\
               startup_preventer = { on = false }\n"
            .to_owned(),
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let stand = booted(stage, &servers(SERVERS))?;
    let gateway = &stand.gateway;
    let spine = Spine::of(&guard, &stand)?;
    leak(gateway, 6, SERVERS)?;
    until(&guard, "idle trees are known", |target| {
        target["victims"].as_array().map_or(0, Vec::len) >= SERVERS
    })?;
    let (report, code) = ask(&guard, &["validate", "--window", "1s"])?;
    same("validate before", code, Some(1))?;
    ensure!(report["ok"] == false, "{report}");

    let (report, code) = ask(&guard, &["crisis", "metamcp", "--yes"])?;
    ensure!(code == Some(0), "{report}; {}", guard.agent.last_words());
    let steps = report["targets"][0]["steps"].as_array().cloned();
    let steps = steps.unwrap_or_default();
    let options: Vec<_> = steps.iter().map(|step| step["option"].clone()).collect();
    ensure!(
        options.iter().all(|option| option == "A") && !steps.is_empty(),
        "{report}"
    );
    gateway.settled(BOOT)?.ensure_no_error()?;
    let target = guard.target()?;
    ensure!(
        target["counts"]["killed"] == 0 && target["retired"] != 0,
        "{target}"
    );

    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: None,
        did: &[],
        calm: true,
    }
    .ensure()?;
    serves(gateway, SERVERS)?;
    gateway.settled(BOOT)?.ensure_no_error()?;
    guard.agent.stop_cleanly().map(drop)
}
