//! What the agent does of its own accord stands in its journal: first why, then how it ended.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::{Container, Parent};
use serde_json::Value;

use crate::scene::{Guard, OnStage, SOON};

/// Seven processes, which end at SIGTERM.
const SEVEN: &str = "trap 'exit 0' TERM; for i in 1 2 3 4 5 6; do sleep 600 & done; wait";

/// Limits at each start; by count alone a restart, once.
const RULES: &str = "name = \"kept\"\ncontainer = \"kept\"\n\
    [target.gate]\nmax_processes = 100\n\
    [target.limits]\nmemory = \"256MB\"\npids = 1600\n\
    [target.processes]\nstrict = true\ncount = \"total\"\nwarning = 2\ncritical = 3\nemergency = 4\nnuclear = 5\n\
    [target.tiers]\nnuclear_monitor = { on = false }\nhost_monitor = { on = true }\n\
    startup_preventer = { on = true }\n\
    [target.restart]\nmax_per_hour = 1\nstop_timeout = \"2s\"";

pub fn lines(guard: &Guard) -> Result<Vec<Value>> {
    let folder = Path::new(&guard.socket).parent().context("no folder")?;
    let text = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

/// Its outcome, after it.
pub fn ended(lines: &[Value], action: &str) -> Option<Value> {
    let is = |line: &&Value, kind: &str| line["kind"] == kind && line["action"] == action;
    let begun = lines.iter().position(|line| is(&line, "intent"))?;
    let id = &lines[begun]["id"];
    let after = lines.iter().skip(begun + 1);
    let mut after = after.filter(|line| is(line, "outcome") && line["id"] == *id);
    after.next().cloned()
}

pub fn in_order() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("kept")?;
    let command = [stage.image.as_str(), "sh", "-c", SEVEN];
    let neighbour = Container::run(&stage.docker, &parent, "kept-neighbour", &command)?;
    let beside = neighbour.pid()?;
    let guard = Guard::start(&stage.docker, RULES, &[])?;
    let one = Container::run(&stage.docker, &parent, "kept", &command)?;
    let before = one.pid()?;
    eventually("it is restarted", SOON, || {
        Ok(one.pid().is_ok_and(|pid| pid != before && pid != 0))
    })
    .with_context(|| guard.agent.last_words())?;
    eventually("all of it is journalled", SOON, || {
        let lines = lines(&guard)?;
        let all = ["gate", "limit", "restart"];
        Ok(all.iter().all(|action| ended(&lines, action).is_some()))
    })
    .with_context(|| format!("{:#?}", lines(&guard)))?;
    let lines = lines(&guard)?;
    let restart = ended(&lines, "restart").context("no restart")?;
    ensure!(restart["done"] == true, "{restart}");
    let steps = restart["steps"].as_array().context("no steps")?;
    same(
        "steps",
        steps.iter().filter(|step| step["ok"] == true).count(),
        2,
    )?;
    let why = lines.iter().find(|line| line["action"] == "restart");
    let why = why.context("no intent")?;
    same("tier", why["tier"].as_str(), Some("host_monitor"))?;
    same("reason", why["reason"].as_str(), Some("nuclear"))?;
    ensure!(why["cost"].to_string().contains("sessions"), "{why}");
    same(
        "restarts",
        lines
            .iter()
            .filter(|line| line["action"] == "recreate")
            .count(),
        0,
    )?;
    same(
        "Docker's limit",
        one.inspect("{{.HostConfig.PidsLimit}}")?.as_str(),
        "1600",
    )?;
    same("the neighbour's init", neighbour.pid()?, beside)?;
    guard.agent.stop_cleanly().map(drop)
}
