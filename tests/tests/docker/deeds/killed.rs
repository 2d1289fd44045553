//! The agent is killed in the middle of what it does: the next one finds that in the journal, and brings
//! it to an end.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use guard_tests::agent::{command, output};
use guard_tests::check::{eventually, same};
use guard_tests::docker::door::{Door, When};
use guard_tests::docker::{Container, Docker, Parent};
use rustix::process::{Pid, Signal, kill_process};

use super::lost::only_one;
use super::{COUNTS, LIMIT, SCRIPT, goes_on, stands};
use crate::journal::{ended, lines};
use crate::profile::{GATE_ALONE, until};
use crate::scene::{Guard, OnStage, SOON};

/// Where it is killed: the old one is stopped; it has another name; the new one runs.
const AT: [(&str, When); 3] = [
    ("/stop", When::After),
    ("/rename?name=half HTTP", When::Before),
    ("/start", When::After),
];

fn rules(name: &str) -> String {
    format!(
        "name = \"{name}\"\ncontainer = \"{name}\"\n{GATE_ALONE}\n[target.gate]\nmax_processes = 100\n\
         [target.restart]\nstop_timeout = \"2s\""
    )
}

/// The container is made anew, and the agent is killed meanwhile: the next agent has it run again, whole,
/// once, and says so.
pub fn while_made_anew() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let door = Door::open(&stage.docker)?;
    let through = Docker::at(door.host(), Path::new("/nonexistent"));
    let parent = Parent::new("half")?;
    let run = ["--restart", "always", &stage.image, "sh", "-c", SCRIPT];
    let mut one = Container::run(&stage.docker, &parent, "half", &run)?;
    let mut guard = Guard::start(&through, &rules("half"), &[])?;
    for (number, (at, when)) in AT.into_iter().enumerate() {
        until(&guard, "it is found", |target| target["armed"] == true)?;
        let held = door.hold(at, when);
        let order = Order::give(&guard, &["recreate", "half", "--yes"])?;
        held.wait(LIMIT)?;
        let cut = || {
            held.cut();
            Ok(())
        };
        guard = guard.killed(&through, cut).context(at)?;
        drop(order);
        eventually("it is brought to an end", SOON, || {
            let lines = lines(&guard)?;
            let resumed = lines
                .iter()
                .filter(|line| line["action"] == "resume" && line["kind"] == "outcome");
            Ok(resumed.count() == number + 1)
        })
        .with_context(|| format!("{at}: {}", guard.agent.last_words()))?;
        let journal = lines(&guard)?;
        let resumed = journal.iter().rev().find(|line| line["action"] == "resume");
        let resumed = resumed.context("not resumed")?;
        ensure!(resumed["done"] == true, "{at}: {resumed}");
        let why = journal.iter().find(|line| line["action"] == "resume");
        same(
            "reason",
            why.context("no intent")?["reason"].as_str(),
            Some("half_done"),
        )?;
        let now = only_one(&stage.docker, "half").with_context(|| format!("{at}: {resumed}"))?;
        same("made anew", now != one.id(), at == "/start").with_context(|| at.to_owned())?;
        if now != one.id() {
            one = Container::adopt(&stage.docker, &now, "half");
        }
    }
    until(&guard, "it is guarded again", |target| {
        target["armed"] == true
    })?;
    guard.agent.stop_cleanly().map(drop)
}

/// A command that is under way. Dropped, it is killed.
struct Order(Child);

impl Order {
    fn give(guard: &Guard, words: &[&str]) -> Result<Self> {
        let all = [&["--socket", &guard.socket], words].concat();
        let mut command = command(&all)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The agent is killed while it has frozen its container: its thawer lets that go on. The thawer is killed
/// with it: the next agent does. A container that is removed while it is frozen leaves nothing behind.
pub fn while_frozen() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let docker = &stage.docker;
    let parent = Parent::new("frozen")?;
    let run = [stage.image.as_str(), "sh", "-c", COUNTS];
    let one = Container::run(docker, &parent, "frozen", &run)?;
    let guard = Guard::start(docker, &rules("frozen"), &[])?;
    freeze(&guard, &one)?;
    let guard = guard.killed(docker, || goes_on(&one))?;
    freeze(&guard, &one)?;
    let thawer = thawer(&guard)?;
    kill_process(thawer, Signal::KILL)?;
    let mut guard = guard.killed(docker, || {
        ensure!(stands(&one)?, "somebody has thawed it");
        Ok(())
    })?;
    goes_on(&one)?;
    let said = guard
        .agent
        .wait_for("thawed", SOON, |line| line["target"] == "frozen")?;
    ensure!(
        said.to_string().contains("was frozen by an earlier agent"),
        "{said}"
    );
    freeze(&guard, &one)?;
    one.tell(&["rm", "-f"])?;
    until(&guard, "it is gone", |target| target["armed"] == false)?;
    let again = Container::run(docker, &parent, "frozen", &run)?;
    let found = until(&guard, "it is there", |target| target["armed"] == true)?;
    ensure!(found["frozen"] == false, "{found}");
    goes_on(&again)?;
    let frozen = ended(&lines(&guard)?, "freeze").context("not journalled")?;
    ensure!(frozen["done"] == true, "{frozen}");
    guard.agent.stop_cleanly().map(drop)
}

fn freeze(guard: &Guard, one: &Container) -> Result<()> {
    until(guard, "it is found", |target| target["armed"] == true)?;
    eventually("it counts", LIMIT, || Ok(super::counted(one)? > 0))?;
    let ran = output(&["--socket", &guard.socket, "freeze", "frozen", "--yes"])?;
    ensure!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stdout)
    );
    ensure!(stands(one)?, "it runs on while it is frozen");
    Ok(())
}

/// The agent's own.
fn thawer(guard: &Guard) -> Result<Pid> {
    let agent = guard.agent.pid();
    for task in fs::read_dir(format!("/proc/{agent}/task"))? {
        let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        for pid in children.split_ascii_whitespace() {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if comm.trim() == "guard-thawer" {
                return Pid::from_raw(pid.parse()?).context("a pid");
            }
        }
    }
    anyhow::bail!("the agent has no thawer")
}
