//! Docker where systemd makes its cgroups: a container is a scope below a slice, `docker-ID.scope`. In a
//! machine whose first process is a real systemd.

use std::fs;
use std::mem::ManuallyDrop;
use std::path::Path;

use anyhow::{Result, ensure};
use guard_tests::agent::{PINS, output};
use guard_tests::check::{eventually, same};
use guard_tests::docker::{Container, Docker};
use guard_tests::{Cgroup, Witness, place};
use serde_json::Value;

use crate::scene::{Guard, OnStage, SOON};

/// The shells below meet it.
const CAP: u64 = 12;
/// Spawns of a shell, all of which stay.
const SPAWNS: u64 = 40;

/// Docker's own slice, watched. It is systemd's, and stays.
fn slice() -> Result<(ManuallyDrop<Cgroup>, Witness)> {
    let path = place::cgroup_root()?.join("system.slice");
    let first = fs::read_to_string("/proc/1/comm")?;
    same("the first process", first.trim(), "systemd")?;
    // Where nothing has been in it yet it is not there yet.
    fs::create_dir_all(&path)?;
    let slice = ManuallyDrop::new(Cgroup::existing(&path)?);
    let witness = Witness::watch(&slice)?;
    Ok((slice, witness))
}

fn guard(docker: &Docker, name: &str) -> Result<Guard> {
    let target = format!(
        "name = \"{name}\"\ncontainer = \"{name}\"\n[target.gate]\nmax_processes = {CAP}\nspawn_rate = 100000\nspawn_burst = 100000"
    );
    Guard::start(docker, &target, &[])
}

/// Starts a container where Docker puts it by itself.
fn run(docker: &Docker, image: &str, name: &str, script: &str) -> Result<Container> {
    let words = [
        "run",
        "-d",
        "--name",
        name,
        "--network",
        "host",
        "--stop-timeout",
        "1",
        image,
    ];
    let id = docker.output(&[words.as_slice(), &["sh", "-c", script]].concat())?;
    Ok(Container::adopt(docker, &id, name))
}

/// So many sleepers, each forked by the shell.
fn sleepers(n: u64) -> String {
    let each: Vec<String> = (0..n).map(|n| n.to_string()).collect();
    format!("for i in {}; do sleep 600 & done", each.join(" "))
}

fn is_its_scope(armed: &Value, container: &Container) -> Result<()> {
    let path = format!("/system.slice/docker-{}.scope", container.id());
    same("its cgroup", armed["path"].as_str(), Some(path.as_str()))
}

/// From its first process on: counted, held in a storm, entered by `docker exec` at the cap, followed
/// through a restart, let go by `disarm`.
pub fn from_birth() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let (_slice, witness) = slice()?;
    let mut guard = guard(&stage.docker, "scope")?;
    let script = format!(
        "until [ -e /tmp/go ]; do sleep 1; done; sh -c '{}'; exec sleep 600",
        sleepers(SPAWNS)
    );
    let container = run(&stage.docker, &stage.image, "scope", &script)?;
    let armed = guard.nth("armed", "scope", 1)?;
    same("from birth", &armed["from_birth"], &Value::Bool(true))?;
    is_its_scope(&armed, &container)?;

    fs::write(format!("/proc/{}/root/tmp/go", container.pid()?), "")?;
    eventually("the storm is held", SOON, || {
        let counts = &guard.target()?["counts"];
        let refused = counts["denied"].as_u64().max(counts["condemned"].as_u64());
        // A shell ends when a fork of its own is refused, and leaves its sleepers.
        Ok(refused > Some(0) && witness.counts()?.live >= CAP - 1)
    })?;
    let said = container.exec(&["sh", "-c", "echo one two | cat | cat"])?;
    same("docker exec at the cap", said.as_str(), "one two")?;
    guard.agrees("scope", &witness)?;
    let seen = witness.counts()?;
    // The guest's three are beside the cap.
    ensure!(
        seen.live <= CAP && seen.running_peak <= CAP + 4,
        "held at {CAP}: {seen:?}"
    );

    container.tell(&["restart", "-t", "0"])?;
    guard.nth("disarmed", "scope", 1)?;
    let again = guard.nth("armed", "scope", 2)?;
    same("after a restart", &again["from_birth"], &Value::Bool(true))?;
    is_its_scope(&again, &container)?;
    guard.agrees("scope", &witness)?;

    let disarmed = output(&["--socket", &guard.socket, "disarm"])?;
    ensure!(disarmed.status.success(), "disarm: {disarmed:?}");
    ensure!(!Path::new(PINS).exists(), "its pins are there still");
    // docker exec waits for whoever has its output.
    let more = format!("{{ {}; }} >/dev/null 2>&1; sleep 1", sleepers(SPAWNS));
    container.exec(&["sh", "-c", &more])?;
    let live = witness.counts()?.live;
    ensure!(live > SPAWNS, "nobody is held any more, and {live} live");
    Ok(())
}

/// One that runs already, under its own id.
pub fn adopted() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let (_slice, witness) = slice()?;
    let script = format!("{}; sleep 600", sleepers(8));
    let container = run(&stage.docker, &stage.image, "running", &script)?;
    eventually("its sleepers are there", SOON, || {
        Ok(witness.counts()?.running >= 10)
    })?;
    let mut guard = guard(&stage.docker, "running")?;
    let armed = guard.nth("armed", "running", 1)?;
    same("from birth", &armed["from_birth"], &Value::Bool(false))?;
    is_its_scope(&armed, &container)?;
    let (live, tasks) = {
        let counts = witness.counts()?;
        (counts.live, counts.tasks)
    };
    eventually("live and tasks are the witness's", SOON, || {
        let seen = guard.seen("running")?;
        Ok((seen.live, seen.tasks) == (live, tasks))
    })?;
    let said = container.exec(&[
        "sh",
        "-c",
        "for i in 1 2 3 4 5; do /bin/true; done; echo five",
    ])?;
    same("docker exec", said.as_str(), "five")?;
    guard.agent.stop_cleanly().map(drop)
}
