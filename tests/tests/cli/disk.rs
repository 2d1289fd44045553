//! The journal on a disk that is full: the agent acts on, says so once, and writes when there is room.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use guard_tests::agent::output;
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{SOON, cap};
use guard_tests::{Agent, Cgroup, Folder, Storm};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;

/// A small disk of one test's own.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Result<Self> {
        fs::create_dir_all(&at)?;
        mount("tmpfs", &at, "tmpfs", MountFlags::empty(), c"size=64k")
            .with_context(|| format!("mounting {}", at.display()))?;
        Ok(Self(at))
    }

    /// Fills it; gives what fills it.
    fn fill(&self) -> Result<PathBuf> {
        let path = self.0.join("filler");
        let mut file = File::create(&path)?;
        while file.write_all(&[7; 4_096]).is_ok() {}
        Ok(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            eprintln!("test kit: cannot unmount {}: {error}", self.0.display());
        }
    }
}

fn lines(state: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(state.join("journal.jsonl"))?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

pub fn full_disk() -> Result<()> {
    let folder = Folder::new()?;
    let cgroup = Cgroup::new("full-disk")?;
    let disk = Disk::mount(folder.path().join("state"))?;
    let filler = disk.fill()?;
    let (state, path) = (disk.0.display(), cgroup.path().display());
    let file = folder.file(
        "config.toml",
        &format!(
            "state_dir = \"{state}\"\non_agent_exit = \"release\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [[target]]\nname = \"storm\"\ncgroup = \"{path}\"\n[target.gate]\n{}\n",
            cap(10)
        ),
    )?;
    let socket = format!("{}/agent.sock", folder.path().display());
    let mut agent = Agent::run(&["--socket", &socket, "--config", &file])?;
    let said = agent.wait_for("journal_degraded", SOON, |_| true)?;
    ensure!(said["fix"].to_string().contains("make room"), "{said}");
    agent.wait_for("action", SOON, |line| line["action"] == "gate")?;
    let report = Storm::run(&cgroup, &["execs", "30", "--hold", "500"])?;
    same("executed under its cap", report.executed, 9)?;
    eventually("status tells of it", SOON, || {
        let status = output(&["--socket", &socket, "status", "--json"])?;
        let status: Value = serde_json::from_slice(&status.stdout)?;
        same(
            "the guard guards",
            &status["problems"],
            &Value::from(Vec::<Value>::new()),
        )?;
        Ok(status["degraded"].to_string().contains("journal.jsonl"))
    })?;

    fs::remove_file(filler)?;
    agent.wait_for("journal_back", SOON, |_| true)?;
    let is_told = |kind: &str| -> Result<bool> {
        let lines = lines(&disk.0)?;
        let gate = |line: &Value| line["kind"] == kind && line["action"] == "gate";
        Ok(lines.iter().any(gate))
    };
    eventually("all that was kept is written", SOON, || {
        Ok(is_told("intent")? && is_told("outcome")?)
    })?;
    let events = agent.stop_cleanly()?;
    let said = events
        .iter()
        .filter(|line| line["event"] == "journal_degraded");
    same("times it was said", said.count(), 1)?;
    let outcomes = lines(&disk.0)?;
    let intents = outcomes.iter().filter(|line| line["kind"] == "intent");
    let ids: Vec<&Value> = intents.map(|line| &line["id"]).collect();
    let mut outcomes = outcomes.iter().filter(|line| line["kind"] == "outcome");
    ensure!(outcomes.all(|line| ids.contains(&&line["id"])), "{ids:?}");
    Ok(())
}
