//! The same by hand: `crisis` on a container that leaks, and `validate` when it is over.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::agent::output;
use guard_tests::check::same;
use serde_json::Value;

use super::{Rules, booted, leak, servers, serves};
use crate::metamcp::BOOT;
use crate::profile::until;
use crate::scene::{Guard, OnStage};

/// Runs a command of the agent's; gives what it printed as JSON, and its exit code.
fn ask(guard: &Guard, words: &[&str]) -> Result<(Value, Option<i32>)> {
    let all = [&["--socket", &guard.socket], words, &["--json"]].concat();
    let ran = output(&all)?;
    let said = String::from_utf8_lossy(&ran.stdout);
    let wrong = || format!("{words:?}: {said}{}", String::from_utf8_lossy(&ran.stderr));
    let value = serde_json::from_str(&said).with_context(wrong)?;
    Ok((value, ran.status.code()))
}

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
    let init = gateway.container.pid()?;
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
    same("the container's init", gateway.container.pid()?, init)?;
    gateway.settled(BOOT)?.ensure_no_error()?;
    let target = guard.target()?;
    ensure!(
        target["counts"]["killed"] == 0 && target["retired"] != 0,
        "{target}"
    );

    // A level is left `clear_after` after the last sign.
    thread::sleep(Duration::from_secs(4));
    let (report, code) = ask(&guard, &["validate", "--window", "3s"])?;
    ensure!(code == Some(0) && report["ok"] == true, "{report}");
    serves(gateway, SERVERS)?;
    gateway.settled(BOOT)?.ensure_no_error()?;
    guard.agent.stop_cleanly().map(drop)
}
