//! A container `metamcp`, guarded as its profile says.

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::State;
use serde_json::Value;

use crate::scene::{Guard, SOON, Stage};

/// Slots of a whole tree.
pub const SLOTS: u64 = 4;
/// Slots below the cap for the container's own wrappers.
pub const RESERVE: u64 = 4;

/// An agent that guards it, with this cap.
pub fn guard(stage: &Stage, cap: u64) -> Result<Guard> {
    guard_with(stage, &format!("max_processes = {cap}"))
}

/// The gate alone: what the agent does beside it is tested for itself.
pub const GATE_ALONE: &str = "[target.tiers]\nnuclear_monitor = { on = false }\nhost_monitor = { on = false }\n\
     resource_enforcer = { on = false }\nstartup_preventer = { on = false }";

/// An agent that guards it, with these lines in its `[target.gate]`, and what may follow that.
pub fn guard_with(stage: &Stage, gate: &str) -> Result<Guard> {
    guard_by(stage, &format!("{GATE_ALONE}\n[target.gate]\n{gate}"))
}

/// An agent that does all that the profile has it do, with this cap. The suite's servers are of
/// `PACKAGES` packages, so of each family as many are healthy as so many different servers would be.
pub fn guard_whole(stage: &Stage, cap: u64, servers: usize) -> Result<Guard> {
    let allowed = 4 * servers.div_ceil(PACKAGES);
    let gate = format!("max_processes = {cap}");
    guard_by(
        stage,
        &format!("allowed_instances = {allowed}\n[target.gate]\n{gate}"),
    )
}

fn guard_by(stage: &Stage, tables: &str) -> Result<Guard> {
    let target =
        format!("name = \"metamcp\"\ncontainer = \"metamcp\"\nprofile = \"metamcp\"\n{tables}");
    Guard::start(&stage.docker, &target, &[])
}

/// `Server::npx` and `Server::node` go round so many.
const PACKAGES: usize = 3;

/// What somebody loses something by.
const HARSH: [&str; 6] = ["retire", "end", "force", "kill", "restart", "recreate"];

/// Whatever the level was, nobody was ended and nothing restarted.
pub fn let_be(guard: &Guard) -> Result<()> {
    let lines = guard.agent.events();
    let mut harsh = lines.iter().filter(|line| {
        let action = line["action"].as_str().unwrap_or_default();
        line["event"] == "decision" && HARSH.contains(&action)
    });
    ensure!(harsh.next().is_none(), "not let be: {lines:?}");
    Ok(())
}

/// Nothing was refused, nobody ended, and each server has its idle instance.
pub fn untouched(guard: &Guard, state: &State) -> Result<()> {
    state.ensure_no_error()?;
    state.ensure_all_idle()?;
    same("refused", state.refused.len(), 0)?;
    let target = guard.target()?;
    let counts = &target["counts"];
    ensure!(
        counts["denied"] == 0 && counts["condemned"] == 0 && counts["killed"] == 0,
        "{counts}"
    );
    Ok(())
}

/// Waits until `holds` is true of what the agent says; gives what it said then.
pub fn until(guard: &Guard, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut last = Value::Null;
    eventually(what, SOON, || {
        last = guard.target()?;
        Ok(holds(&last))
    })
    .with_context(|| format!("{what}: {last}"))?;
    Ok(last)
}

/// So many live processes, trees and slots taken.
pub fn holds(target: &Value, live: u64, trees: u64, committed: u64) -> bool {
    let counts = &target["counts"];
    counts["live"] == live && counts["trees"] == trees && target["committed"] == committed
}
