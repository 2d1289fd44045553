//! Containers are found, counted from their first process or adopted, and followed.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::{Container, Parent};
use serde_json::Value;

use crate::scene::{Guard, OnStage, SOON, Seen};

/// A shell that starts 20 programs one after the other, then sleeps.
const TWENTY: &str = "for i in $(seq 20); do true; /bin/true; done; sleep 600";
/// A limit that nothing here meets.
const WIDE: &str = "[target.gate]\nmax_processes = 1000\nspawn_rate = 100000\nspawn_burst = 100000";
/// Under this cap the shells below meet it.
const CAP: u64 = 12;

fn target(name: &str, gate: &str) -> String {
    format!("name = \"{name}\"\ncontainer = \"{name}\"\n{gate}")
}

/// The runtime's own stages, before the container's command, are counted like all else.
pub fn from_birth() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("birth")?;
    let witness = parent.witness()?;
    let mut guard = Guard::start(&stage.docker, &target("birth", WIDE), &[])?;
    let container = Container::run(
        &stage.docker,
        &parent,
        "birth",
        &[&stage.image, "sh", "-c", TWENTY],
    )?;
    let armed = guard.nth("armed", "birth", 1)?;
    same("from birth", &armed["from_birth"], &Value::Bool(true))?;
    same("adopted", &armed["adopted"], &Value::from(0))?;
    ensure!(
        armed.to_string().contains(container.id()),
        "whose cgroup? {armed}"
    );
    eventually("its twenty programs have run", SOON, || {
        Ok(witness.counts()?.execs > 22)
    })?;
    guard.agrees("birth", &witness)?;
    guard.agent.stop_cleanly().map(drop)
}

/// While processes come and go, and then what one `docker exec` adds.
pub fn adopted() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("adopted")?;
    let witness = parent.witness()?;
    let churn = "for i in $(seq 15); do sleep 600 & done; until [ -e /tmp/stop ]; do /bin/true; done; sleep 600";
    let container = Container::run(
        &stage.docker,
        &parent,
        "adopted",
        &[&stage.image, "sh", "-c", churn],
    )?;
    let mut guard = Guard::start(&stage.docker, &target("adopted", WIDE), &[])?;
    let armed = guard.nth("armed", "adopted", 1)?;
    same("from birth", &armed["from_birth"], &Value::Bool(false))?;
    ensure!(
        armed["adopted"].as_u64() >= Some(16),
        "its shell and sleepers: {armed}"
    );
    fs::write(format!("/proc/{}/root/tmp/stop", container.pid()?), "")?;
    let both = || -> Result<_> { Ok((guard.seen("adopted")?, Seen::by(&witness.counts()?))) };
    // Its programs make 17 too, while they come and go: settled is what stays as it is.
    let mut last = both()?;
    let settled = || {
        std::thread::sleep(Duration::from_millis(200));
        let before = std::mem::replace(&mut last, both()?);
        let (guard, witness) = last;
        Ok(last == before
            && guard.live == 17
            && (guard.live, guard.tasks) == (witness.live, witness.tasks))
    };
    eventually("live and tasks exact after the churn", SOON, settled)?;
    let (guard_before, witness_before) = both()?;
    container.exec(&["sh", "-c", "for i in $(seq 50); do /bin/true; done"])?;
    let added = || -> Result<_> {
        let (guard, witness) = both()?;
        Ok((guard.since(&guard_before), witness.since(&witness_before)))
    };
    let mut last = added()?;
    let exact = || {
        last = added()?;
        Ok(last.0 == last.1 && guard.seen("adopted")?.execs > guard_before.execs + 50)
    };
    eventually("what docker exec added is exact", SOON, exact)
        .with_context(|| format!("spawns, threads, execs, exits: {last:?}"))?;
    same(
        "live as Docker lists it",
        guard.seen("adopted")?.live,
        container.top()?,
    )?;
    guard.agent.stop_cleanly().map(drop)
}

pub fn through_its_life() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("life")?;
    let mut guard = Guard::start(&stage.docker, &target("life", WIDE), &[])?;
    let command = [stage.image.as_str(), "sh", "-c", TWENTY];
    let first = Container::create(&stage.docker, &parent, "life", &command)?;
    first.start()?;
    let of_first = guard.nth("armed", "life", 1)?;
    first.tell(&["stop", "-t", "0"])?;
    guard.nth("disarmed", "life", 1)?;
    first.start()?;
    let again = guard.nth("armed", "life", 2)?;
    same(
        "armed at its start, from birth",
        &again["from_birth"],
        &Value::Bool(true),
    )?;
    first.tell(&["restart", "-t", "0"])?;
    guard.nth("disarmed", "life", 2)?;
    let again = guard.nth("armed", "life", 3)?;
    same(
        "armed at its restart, from birth",
        &again["from_birth"],
        &Value::Bool(true),
    )?;

    stage.docker.output(&["rename", "life", "other-life"])?;
    guard.nth("disarmed", "life", 3)?;
    stage.docker.output(&["rename", "other-life", "life"])?;
    let back = guard.nth("armed", "life", 4)?;
    same(
        "adopted under its old name",
        &back["from_birth"],
        &Value::Bool(false),
    )?;
    same("the same cgroup", &back["cgroup_id"], &again["cgroup_id"])?;

    // What no longer has the name is no target, running or not, now or when it starts again.
    stage.docker.output(&["rename", "life", "other-life"])?;
    guard.nth("disarmed", "life", 4)?;
    first.tell(&["restart", "-t", "0"])?;
    std::thread::sleep(Duration::from_secs(1));
    let live = guard.seen("life")?.live;
    same(
        "nothing is counted of a container that is no target",
        live,
        0,
    )?;
    drop(first);
    let second = Container::run(&stage.docker, &parent, "life", &command)?;
    let anew = guard.nth("armed", "life", 5)?;
    same(
        "armed when recreated, from birth",
        &anew["from_birth"],
        &Value::Bool(true),
    )?;
    ensure!(
        anew["cgroup_id"] != of_first["cgroup_id"],
        "another container, another cgroup: {anew}"
    );
    ensure!(
        anew.to_string().contains(second.id()),
        "whose cgroup? {anew}"
    );
    guard.agent.stop_cleanly().map(drop)
}

pub fn by_label() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("label")?;
    let run = |name: &str, label: &str| {
        let command = ["--label", label, &stage.image, "sh", "-c", TWENTY];
        Container::run(&stage.docker, &parent, name, &command)
    };
    let _there = run("label-one", "guard=on")?;
    let _off = run("label-off", "guard=off")?;
    let target = format!("name = \"labelled\"\nlabel = \"guard=on\"\n{WIDE}");
    let mut guard = Guard::start(&stage.docker, &target, &[])?;
    guard.nth("armed", "label-one", 1)?;
    let _later = run("label-two", "guard=on")?;
    let later = guard.nth("armed", "label-two", 1)?;
    same("armed from birth", &later["from_birth"], &Value::Bool(true))?;
    let live = |name: &str| Ok::<_, anyhow::Error>(guard.seen(name)?.live);
    eventually("both counted", SOON, || {
        Ok((live("label-one")?, live("label-two")?) == (2, 2))
    })?;
    ensure!(
        guard.seen("label-off").is_err(),
        "a container without the label is no target"
    );
    guard.agent.stop_cleanly().map(drop)
}

pub fn exec_and_health() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("health")?;
    let witness = parent.witness()?;
    let gate =
        format!("[target.gate]\nmax_processes = {CAP}\nspawn_rate = 100000\nspawn_burst = 100000");
    let mut guard = Guard::start(&stage.docker, &target("health", &gate), &[])?;
    let command = [
        "--health-cmd",
        "/bin/true",
        "--health-interval",
        "1s",
        "--health-retries",
        "1",
        &stage.image,
        "sh",
        "-c",
        TWENTY,
    ];
    let container = Container::run(&stage.docker, &parent, "health", &command)?;
    guard.nth("armed", "health", 1)?;
    for n in 0..10 {
        let said = container.exec(&["sh", "-c", "/bin/echo said; /bin/true"])?;
        same(&format!("docker exec {n}"), said.as_str(), "said")?;
    }
    eventually("healthy", SOON, || {
        Ok(container.inspect("{{.State.Health.Status}}")? == "healthy")
    })?;
    // Health checks go on while we compare.
    guard.agrees("health", &witness)?;
    same(
        "healthy still",
        container.inspect("{{.State.Health.Status}}")?.as_str(),
        "healthy",
    )?;
    guard.agent.stop_cleanly().map(drop)
}

/// dockerd is killed, a storm breaks out in the container, dockerd comes back.
pub fn dead_dockerd() -> Result<()> {
    let mut on_stage = OnStage::enter()?;
    let stage = on_stage.get()?;
    let parent = Parent::new("dead")?;
    let witness = parent.witness()?;
    let gate =
        format!("[target.gate]\nmax_processes = {CAP}\nspawn_rate = 100000\nspawn_burst = 100000");
    let mut guard = Guard::start(&stage.docker, &target("dead", &gate), &[])?;
    let storm = "until [ -e /tmp/go ]; do sleep 0.1; done; for i in $(seq 60); do sleep 600 & done; wait; sleep 600";
    let container = Container::run(
        &stage.docker,
        &parent,
        "dead",
        &[&stage.image, "sh", "-c", storm],
    )?;
    guard.nth("armed", "dead", 1)?;
    let pid = container.pid()?;

    stage.daemon.kill()?;
    let lost = |line: &Value| line["event"] == "docker_lost";
    guard.agent.wait_for("docker_lost", SOON, lost)?;
    fs::write(format!("/proc/{pid}/root/tmp/go"), "")?;
    eventually("the storm is over", SOON, || {
        Ok(witness.counts()?.spawns >= 60)
    })?;
    std::thread::sleep(Duration::from_secs(3));
    let counts = witness.counts()?;
    same("held at its cap without Docker", counts.running_peak, CAP)?;
    let said = guard.agent.events().into_iter().filter(lost).count();
    same("said once", said, 1)?;
    ensure!(
        !guard
            .agent
            .events()
            .iter()
            .any(|line| line["event"] == "disarmed"),
        "nothing was let go"
    );

    // dockerd ends the containers that it finds running, as it does without live-restore.
    stage.daemon.start_again()?;
    guard.agent.wait_for("docker_back", SOON, |_| true)?;
    guard.nth("disarmed", "dead", 1)?;
    container.start()?;
    let again = guard.nth("armed", "dead", 2)?;
    same(
        "followed again, from birth",
        &again["from_birth"],
        &Value::Bool(true),
    )?;
    guard.agent.stop_cleanly().map(drop)
}
