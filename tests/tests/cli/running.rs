//! The running agent: what it guards, what it says, how it ends.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, SOON, WIDE, cap};
use guard_tests::{Agent, Cgroup, Folder, Storm, Witness};
use serde_json::Value;

/// The sum of a field over the seconds' lines.
pub fn total(events: &[Value], field: &str) -> u64 {
    let lines = events.iter().filter(|line| line["event"] == "spawn_rate");
    lines.filter_map(|line| line[field].as_u64()).sum()
}

pub fn appears_later() -> Result<()> {
    let parent = Cgroup::new("later")?;
    let path = parent.path().join("child");
    let mut guarded = Guarded::begin(&path.display().to_string(), &cap(10), &[])?;
    std::thread::sleep(Duration::from_secs(2));
    ensure!(
        !guarded
            .agent
            .events()
            .iter()
            .any(|line| line["event"] == "armed"),
        "nothing to arm"
    );
    let child = parent.nested("child")?;
    guarded.agent.wait_for("armed", SOON, |_| true)?;
    let report = Storm::run(&child, &["execs", "40", "--hold", "1500"])?;
    same("executed under its cap", report.executed, 9)?;
    drop(child);
    guarded.agent.wait_for("disarmed", SOON, |_| true)?;
    guarded.agent.stop_cleanly().map(drop)
}

pub fn unknown_container() -> Result<()> {
    let folder = Folder::new()?;
    let socket = format!("{}/agent.sock", folder.path().display());
    let state = folder.path().display();
    let config = folder.file(
        "config.toml",
        &format!("state_dir = \"{state}\"\non_agent_exit = \"release\"\n[http]\nlisten = \"127.0.0.1:0\"\n"),
    )?;
    let name = "no-such-container-of-ours";
    let arguments = [
        "--socket",
        &socket,
        "--config",
        &config,
        "--container",
        name,
    ];
    let mut agent = Agent::run(&arguments)?;
    agent.wait_for("waiting", SOON, |line| line["target"] == name)?;
    std::thread::sleep(Duration::from_secs(4));
    let events = agent.stop_cleanly()?;
    let said = |event| events.iter().filter(|line| line["event"] == event).count();
    same("times it said that it waits", said("waiting"), 1)?;
    ensure!(
        said("docker_lost") <= 1,
        "Docker's absence is said once: {events:?}"
    );
    Ok(())
}

pub fn observe() -> Result<()> {
    let cgroup = Cgroup::new("observed")?;
    let guarded = Guarded::start(&cgroup, &cap(10), &["--observe"])?;
    let report = Storm::run(&cgroup, &["execs", "60", "--hold", "1500"])?;
    same(
        "executed",
        (report.executed, report.refused, report.killed),
        (60, 0, 0),
    )?;
    let mut guarded = guarded;
    guarded
        .agent
        .wait_for("breach", SOON, |line| line["verdict"] == "observed")?;
    let events = guarded.agent.stop_cleanly()?;
    same(
        "denied and killed",
        (total(&events, "denied"), total(&events, "killed")),
        (0, 0),
    )?;
    let modes = events.iter().filter(|line| line["event"] == "spawn_rate");
    let odd = modes.clone().find(|line| line["mode"] != "observe");
    ensure!(
        odd.is_none() && modes.count() > 0,
        "a line in another mode: {odd:?}"
    );
    Ok(())
}

pub fn cap_holds() -> Result<()> {
    let cgroup = Cgroup::new("capped")?;
    let witness = Witness::watch(&cgroup)?;
    let mut guarded = Guarded::start(&cgroup, &cap(10), &[])?;
    let report = Storm::run(&cgroup, &["execs", "100", "--hold", "2000"])?;
    same("executed", report.executed, 9)?;
    let seen = witness.counts()?;
    same("running at once", seen.running_peak, 10)?;
    let breach = guarded
        .agent
        .wait_for("breach", SOON, |line| line["first"] == true)?;
    same("limit", breach["limit"].as_str(), Some("max_processes"))?;
    let words = breach["message"].as_str().unwrap_or_default();
    ensure!(
        words.contains("max_processes") && words.contains("What to do"),
        "{breach}"
    );
    let events = guarded.agent.stop_cleanly()?;
    same(
        "stopped",
        total(&events, "denied") + total(&events, "killed"),
        100 - 9,
    )
}

pub fn log_is_exact() -> Result<()> {
    let cgroup = Cgroup::new("logged")?;
    let witness = Witness::watch(&cgroup)?;
    let guarded = Guarded::start(&cgroup, WIDE, &[])?;
    for arguments in [
        &["forks", "2000"][..],
        &["vfork", "200"],
        &["twin-exit", "200"],
    ] {
        Storm::run(&cgroup, arguments)?;
    }
    let seen = witness.counts()?;
    // The last second's line comes when it is over.
    std::thread::sleep(Duration::from_millis(2_500));
    let events = guarded.agent.stop_cleanly()?;
    let logged = |field| total(&events, field);
    same("spawns", logged("spawns"), seen.spawns)?;
    same("threads", logged("threads"), seen.threads)?;
    same("execs", logged("execs"), seen.execs)?;
    same("exits", logged("exits"), seen.exits)?;
    let last = events
        .iter()
        .rev()
        .find(|line| line["event"] == "spawn_rate");
    let last = last.context("no line at all")?;
    same(
        "live and tasks at the end",
        (&last["live"], &last["tasks"]),
        (&0.into(), &0.into()),
    )
}

pub fn killed_agent_lets_go() -> Result<()> {
    let cgroup = Cgroup::new("orphaned")?;
    let guarded = Guarded::start(&cgroup, &cap(10), &[])?;
    let held = Storm::run(&cgroup, &["execs", "40", "--hold", "1500"])?;
    same("under the gate", held.executed, 9)?;
    guarded.agent.kill()?;
    let free = Storm::run(&cgroup, &["execs", "40", "--hold", "1500"])?;
    same(
        "without an agent",
        (free.executed, free.refused, free.killed),
        (40, 0, 0),
    )
}

pub fn secrets_are_masked() -> Result<()> {
    const SECRET: &str = "hunter2-4711";
    let cgroup = Cgroup::new("secret")?;
    let guarded = Guarded::begin_saying("debug", &cgroup.path().display().to_string(), WIDE, &[])?;
    let mut guarded = guarded;
    guarded.agent.wait_for("armed", SOON, |_| true)?;
    let argument = format!("--api-key={SECRET}");
    Storm::run(
        &cgroup,
        &["execs", "3", "--hold", "10", "--argument", &argument],
    )?;
    std::thread::sleep(Duration::from_secs(2));
    let events = guarded.agent.stop_cleanly()?;
    let all: String = events.iter().map(ToString::to_string).collect();
    ensure!(!all.contains(SECRET), "a secret is in the log");
    Ok(())
}
