//! Who is not signalled, whatever it looks like: the container's own, and who has left.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use guard_tests::agent::output;
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::{Server, Setup};
use guard_tests::{Cgroup, Folder};
use serde_json::Value;

use super::LIMIT;
use crate::metamcp::Stand;
use crate::profile::{guard_with, until};
use crate::scene::{OnStage, SOON};

/// The frontend calls itself as servers are called, in comm and (so far as there is room) in argv.
const DISGUISE: &str =
    "if (process.argv[1].endsWith('frontend.js')) process.title = 'npx -y some-server';";

/// Says that it was told to end, and does not.
const STAYS: &str = "trap ': > /told-$NAME' TERM; while :; do sleep 0.1; done";

/// All trees are killed: a process of the container's own that is named like a server is left alone. Of
/// a tree that has a grace to end in, who leaves the container meanwhile is not killed after it. A container
/// that is removed meanwhile is gone, and so is what was begun of it.
pub fn own_and_left() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let folder = Folder::new()?;
    let disguise = folder.file("disguise.js", DISGUISE)?;
    let options = [
        "-v",
        &format!("{disguise}:/disguise.js:ro"),
        "-e",
        "NODE_OPTIONS=--require /disguise.js",
    ];
    let stays = |name| Server::new(name, "sh", &["-c", &format!("NAME={name}; {STAYS}")]);
    let setup = Setup {
        servers: vec![stays("leaves"), stays("stays")],
        patience: Duration::from_secs(600),
        options: &options,
        ..Setup::default()
    };
    let own = setup.layout.processes();
    let guard = guard_with(stage, "max_processes = 400\n[target.end]\ngrace = \"2s\"")?;
    let stand = Stand::start(stage, "metamcp", &setup)?;
    let container = &stand.gateway.container;
    let init = container.pid()?;
    until(&guard, "both servers", |target| {
        target["counts"]["trees"] == 2
    })?;
    let disguised = found(&stand, "npx -y some-serv")?;

    let root = found(&stand, "NAME=leaves")?;
    let told = format!("/proc/{init}/root/told-leaves");
    let kill = kill(&guard.socket, Some(root));
    eventually("it is told to end", LIMIT, || Ok(Path::new(&told).exists()))?;
    let away = Cgroup::new("away")?;
    away.take(root)?;
    let answer = kill.join().map_err(|_| anyhow!("a panic"))??;
    same(
        "the tree",
        answer["trees"][0]["result"].as_str(),
        Some("done"),
    )?;
    ensure!(
        named(root).contains("NAME=leaves"),
        "who left was killed: {answer}"
    );
    same(
        "who left",
        fs::read_to_string(away.path().join("cgroup.procs"))?.contains(&root.to_string()),
        true,
    )?;
    drop(away);

    let before = pids(&stand)?;
    ensure!(
        before.contains(&disguised),
        "the container's own was killed"
    );
    let kill = self::kill(&guard.socket, None);
    let told = format!("/proc/{init}/root/told-stays");
    eventually("it is told to end", LIMIT, || Ok(Path::new(&told).exists()))?;
    ensure!(
        named(disguised).contains("npx -y some-serv"),
        "the container's own was signalled"
    );
    container.tell(&["rm", "-f"])?;
    let answer = kill.join().map_err(|_| anyhow!("a panic"))??;
    ensure!(
        answer["trees"]
            .as_array()
            .is_some_and(|trees| !trees.is_empty()),
        "{answer}"
    );
    let gone = until(&guard, "it is gone", |target| target["armed"] == false)?;
    ensure!(gone["counts"]["live"] == 0 && own > 0, "{gone}");
    guard.agent.stop_cleanly().map(drop)
}

/// `kill`, of one tree or of all.
fn kill(socket: &str, tree: Option<u32>) -> thread::JoinHandle<Result<Value>> {
    let mut words: Vec<String> = ["--socket", socket, "kill", "metamcp", "--yes", "--json"]
        .map(str::to_owned)
        .to_vec();
    if let Some(pid) = tree {
        words.extend(["--tree".to_owned(), pid.to_string()]);
    }
    thread::spawn(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = output(&words)?.stdout;
        serde_json::from_slice(&said).with_context(|| String::from_utf8_lossy(&said).into_owned())
    })
}

/// All that run in its cgroup.
fn pids(stand: &Stand) -> Result<Vec<u32>> {
    let dir = stand.gateway.container.cgroup(&stand.parent)?;
    let text = fs::read_to_string(dir.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn named(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

/// Who has these words in its command line.
fn found(stand: &Stand, words: &str) -> Result<u32> {
    let mut found = None;
    eventually(words, SOON, || {
        let all = pids(stand)?.into_iter();
        let mut with = all.filter(|pid| named(*pid).contains(words));
        found = with.next();
        Ok(found.is_some())
    })?;
    found.context("nobody")
}
