//! Where an agent must not start: beside another one, or where the kernel's pids mean nothing.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::agent::output;
use guard_tests::check::same;
use guard_tests::{Agent, Folder, place};

/// Neither needs its cgroup to be there.
const TARGET: &str = "guard-test-no-such-cgroup";

pub fn second_agent() -> Result<()> {
    let folder = Folder::new()?;
    let state = folder.path().display();
    let config = folder.file(
        "config.toml",
        &format!("state_dir = \"{state}\"\non_agent_exit = \"release\"\n[http]\nlisten = \"127.0.0.1:0\"\n"),
    )?;
    let cgroup = place::cgroup_root()?.join(TARGET).display().to_string();
    let at = |socket: &str| format!("{}/{socket}", folder.path().display());
    let run = |socket: &str| {
        let socket = at(socket);
        let words = [
            "--socket", &socket, "--config", &config, "--cgroup", &cgroup,
        ];
        words.map(str::to_owned)
    };
    let first = run("first.sock");
    let mut agent = Agent::run(&first.each_ref().map(String::as_str))?;
    agent.wait_for("action", Duration::from_secs(20), |_| true)?;

    let second = run("second.sock");
    let words: Vec<&str> = ["run"]
        .into_iter()
        .chain(second.iter().map(String::as_str))
        .collect();
    let refused = output(&words)?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    same(
        &format!("exit code of {said}"),
        refused.status.code(),
        Some(6),
    )?;
    ensure!(
        said.contains(&agent.pid().to_string()),
        "who holds it: {said}"
    );
    agent.stop_cleanly()?;
    let mut third = Agent::run(&second.each_ref().map(String::as_str))?;
    // Stopped while it loads: that leaves nothing behind either.
    third.wait_for("started", Duration::from_secs(20), |_| true)?;
    third.stop_cleanly().map(drop)
}

pub fn other_pids() -> Result<()> {
    let agent = place::program("GUARD_AGENT", "metamcp-guard")?;
    let ended = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(agent)
        .arg("run")
        .output()
        .context("unshare (util-linux)")?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    same(
        &format!("exit code of {said}"),
        ended.status.code(),
        Some(5),
    )?;
    ensure!(said.contains("--pid=host"), "how to run it: {said}");
    Ok(())
}
