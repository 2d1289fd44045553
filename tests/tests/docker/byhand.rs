//! Trees ended by hand in a real container: what its gateway makes of it, and who is left in peace.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::agent::output;
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::{Layout, Server, Setup};
use guard_tests::docker::{Container, Parent};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::metamcp::{BOOT, PATIENCE, Stand, TREE};
use crate::profile::{GATE_ALONE, guard, guard_with, holds, until};
use crate::scene::{Guard, OnStage, SOON, Seen};

/// Runs `retire` or `kill`; all that is meant must end. Gives how many trees that were.
fn end(guard: &Guard, words: &[&str]) -> Result<usize> {
    let all = [&["--socket", &guard.socket], words, &["--yes", "--json"]].concat();
    let ran = output(&all)?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(
        ran.status.success(),
        "{words:?}: {said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let answer: Value = serde_json::from_str(&said).with_context(|| said.to_string())?;
    let trees = answer["trees"].as_array().context("no trees")?;
    ensure!(
        trees.iter().all(|tree| tree["result"] == "done"),
        "{answer}"
    );
    Ok(trees.len())
}

fn child_of(pid: u32) -> Result<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    first.with_context(|| format!("pid {pid} has no child"))
}

/// npx servers end by themselves when they are retired, and no server is in ERROR; killed ones put
/// theirs there. Nothing is left of either; the container's own processes and a neighbour stay.
pub fn ended() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let neighbour = format!(
        "[[target]]\nname = \"neighbour\"\ncontainer = \"neighbour\"\nprofile = \"metamcp\"\n{GATE_ALONE}"
    );
    let guard = guard_with(stage, &format!("max_processes = 400\n{neighbour}"))?;
    let beside = Parent::new("neighbour")?;
    let its = beside.witness()?;
    let command = [
        &stage.image,
        "sh",
        "-c",
        "node -e 'require(\"child_process\").spawn(\"sleep\", [\"600\"]); setInterval(() => 0, 1000)'; true",
    ];
    let _neighbour = Container::run(&stage.docker, &beside, "neighbour", &command)?;
    let mut servers = Server::npx(1);
    servers.extend(Server::node(2).pop());
    // One of each.
    let pair = TREE + 1;
    let setup = Setup {
        servers,
        ..Setup::default()
    };
    let own = setup.layout.processes();
    let stand = Stand::start(stage, "metamcp", &setup)?;
    let gateway = &stand.gateway;
    let init = gateway.container.pid()?;
    let serve = |what: &str| -> Result<()> {
        same(
            what,
            gateway.list(&gateway.open()?, PATIENCE).servers.len(),
            2,
        )?;
        gateway.settled(BOOT)?.ensure_all_idle()?;
        gateway.state()?.ensure_no_error()
    };
    gateway.settled(BOOT)?.ensure_all_idle()?;
    let untouched = Seen::by(&its.counts()?);
    same("the neighbour's processes", untouched.live, 3)?;
    serve("served")?;
    until(&guard, "two idle and two in use", |target| {
        target["counts"]["trees"] == 4
    })?;

    same("trees retired", end(&guard, &["retire", "metamcp"])?, 4)?;
    stand.lives("retired", own)?;
    gateway.state()?.ensure_no_error()?;
    until(&guard, "counted", |target| {
        holds(target, own, 0, own) && target["retired"] == 4
    })?;
    // Who comes next finds the dead idle ones and makes new ones.
    let _neither = gateway.list(&gateway.open()?, PATIENCE);
    gateway.settled(BOOT)?;
    serve("served again")?;
    stand.lives("two idle and two in use", own + 2 * pair)?;

    let state = gateway.state()?;
    let idle = state.with_role("idle").find(|one| one.server == "memory");
    let root = gateway.host_pid(idle.context("no idle instance")?)?;
    let server = child_of(child_of(root)?)?.to_string();
    same(
        "trees killed",
        end(&guard, &["kill", "metamcp", "--tree", &server])?,
        1,
    )?;
    eventually("its server is in ERROR", SOON, || {
        Ok(gateway.state()?.in_error() == ["memory"])
    })?;
    // The gateway ends the one that was in use.
    stand.lives("nothing of that server is left", own + 2)?;
    same("trees killed", end(&guard, &["kill", "metamcp"])?, 2)?;
    stand.lives("nothing is left", own)?;
    until(&guard, "counted", |target| holds(target, own, 0, own))?;
    same("in ERROR", gateway.state()?.in_error().len(), 2)?;

    same("the container's init", gateway.container.pid()?, init)?;
    same("the neighbour", Seen::by(&its.counts()?), untouched)?;
    guard.agent.stop_cleanly().map(drop)
}

/// Before the guard came a server's root was killed, then its gateway: its children, which the init
/// has now, are found by their session to be one tree, and can be ended as one.
pub fn orphans() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let mut servers = Server::node(1);
    // It ignores the end of its input, and never answers.
    servers.push(Server::new(
        "pair",
        "sh",
        &["-c", "sleep 600 | sleep 600; true"],
    ));
    let setup = Setup {
        layout: Layout::S6,
        servers,
        patience: Duration::from_secs(600),
        ..Setup::default()
    };
    let own = setup.layout.processes();
    let stand = Stand::start(stage, "metamcp", &setup)?;
    let gateway = &stand.gateway;
    stand.lives("both servers", own + 1 + 3)?;
    let state = gateway.state()?;
    let pair = state.processes.iter().find(|one| one.server == "pair");
    let pair = pair.context("no pair")?;
    let root = gateway.host_pid(pair)?;
    let node = fs::read_to_string(format!("/proc/{root}/stat"))?;
    let parent = node
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(1));
    let parent = parent
        .and_then(|pid| pid.parse().ok())
        .and_then(Pid::from_raw);
    gateway.signal(pair, Signal::KILL)?;
    stand.lives("its root is gone", own + 1 + 2)?;
    // s6-supervise starts it again, with both servers; what the old one had by node leaves.
    kill_process(parent.context("no parent")?, Signal::KILL)?;
    stand.lives("a new gateway", own + 1 + 3 + 2)?;
    let guard = guard(stage, 400)?;
    let live = own + 1 + 3 + 2;
    let found = until(&guard, "three trees", |target| {
        holds(target, live, 3, live) && target["gateways"].as_array().map(Vec::len) == Some(1)
    })?;
    let listed = stand.gateway.container.tell(&["top"])?;
    let families = found["families"].as_array().context("no families")?;
    let orphan = families.iter().find(|one| one["processes"] == 2);
    let orphan = orphan.with_context(|| format!("no tree of two: {found}, {listed}"))?;
    let pid = orphan["roots"][0].to_string();
    same("trees killed", end(&guard, &["kill", "--tree", &pid])?, 1)?;
    stand.lives("both orphans are gone", own + 1 + 3)?;
    guard.agent.stop_cleanly().map(drop)
}
