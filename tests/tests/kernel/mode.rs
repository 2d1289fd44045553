//! Which mode is proved, and what the proof leaves behind.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use guard_common::GateMode;
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY, SOON, Target, cap};
use guard_tests::{Cgroup, Storm, place};
use serde_json::Value;

use crate::scene::expected;

pub fn is_proved() -> Result<()> {
    let mode = expected()?.name();
    let cgroup = Cgroup::new("mode")?;
    let mut guarded = Guarded::start(&cgroup, &cap(10), &[])?;
    let event = guarded.hears(ONLY, "gate_mode", &[("mode", mode)])?;
    same(
        "proved",
        event.get("proved").cloned(),
        Some(Value::Bool(true)),
    )?;
    let status = guarded.status()?;
    let gate = &status.gate;
    same(
        "the gate's mode",
        (gate.mode.as_str(), gate.proved),
        (mode, true),
    )?;
    same("problems", &status.problems, &Vec::new())?;
    same("the target's mode", guarded.only()?.mode.as_str(), mode)?;
    if expected()? != GateMode::Lsm {
        let (word, because) = if bpf_is_off()? {
            ("lsm=", "LSM programs load, attach and are never called")
        } else {
            ("not permitted", "LSM programs are refused with EPERM")
        };
        ensure!(
            gate.why.contains("not lsm: ") && gate.why.contains(word),
            "{because} here, but it says: {}",
            gate.why
        );
    }
    guarded.agent.stop_cleanly().map(drop)
}

/// Whether the kernel says that BPF is none of its security modules.
fn bpf_is_off() -> Result<bool> {
    match fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(list) => Ok(!list.trim().split(',').any(|name| name == "bpf")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("/sys/kernel/security/lsm"),
    }
}

/// An agent whose canary is out once a second, beside a target with a cap.
fn proved_each_second(cgroup: &Cgroup) -> Result<Guarded> {
    let path = cgroup.path().display().to_string();
    let gate = cap(10);
    let target = Target {
        name: ONLY,
        path: &path,
        gate: &gate,
    };
    let mut guarded = Guarded::begin_all("info", "canary_every = \"1s\"", &[target], &[])?;
    guarded.ready(ONLY)?;
    Ok(guarded)
}

/// Proved each second, beside a target at its cap: neither feels the other.
pub fn leaves_nothing() -> Result<()> {
    const CANARY: &str = "canary";
    let before = traces()?;
    let cgroup = Cgroup::new("proofs")?;
    let guarded = proved_each_second(&cgroup)?;
    let storm = Storm::start(&cgroup, &["execs", "5000", "--pace-us", "5000"])?;
    for round in 1..=3 {
        let sits = || Ok(traces()?.iter().any(|name| name.contains(CANARY)));
        eventually("the canary sits in its cgroup", SOON, sits)
            .with_context(|| format!("round {round}"))?;
        eventually("it is gone", SOON, || Ok(!sits()?))?;
        let gate = guarded.status()?.gate;
        same(
            "mode, proved",
            (gate.mode.as_str(), gate.proved),
            (expected()?.name(), true),
        )?;
    }
    let said = guarded.until("at its cap", |said| said.counts.live == 10)?;
    same("live at once", said.counts.peak_live, 10)?;
    cgroup.kill()?;
    storm.killed()?;
    same("targets", guarded.status()?.targets.len(), 1)?;
    guarded.agent.stop_cleanly()?;
    let left: Vec<String> = traces()?.difference(&before).cloned().collect();
    same("left behind", left, Vec::new())
}

/// The agent is told to end while its canary is out, which here can do nothing more: it is frozen.
pub fn stopped_meanwhile() -> Result<()> {
    let before = traces()?;
    let cgroup = Cgroup::new("stopped")?;
    let guarded = proved_each_second(&cgroup)?;
    let mut caught = None;
    eventually("the canary is out, and frozen there", SOON, || {
        let new = traces()?.difference(&before).cloned().collect::<Vec<_>>();
        let Some(name) = new.iter().find(|name| name.ends_with("canary")) else {
            return Ok(false);
        };
        let dir = place::cgroup_root()?.join(name);
        // It may be gone before it is frozen; the next one comes in a second.
        let frozen = fs::write(dir.join("cgroup.freeze"), "1").is_ok();
        let events = fs::read_to_string(dir.join("cgroup.events")).unwrap_or_default();
        let is = |what| events.lines().any(|line| line == what);
        if frozen && is("populated 1") && is("frozen 1") {
            caught = Some(dir);
        }
        Ok(caught.is_some())
    })?;
    let dir = caught.context("no canary")?;
    let stopped = guarded.agent.stop_cleanly();
    let left: Vec<String> = traces()?.difference(&before).cloned().collect();
    if dir.is_dir() {
        drop(Cgroup::existing(&dir)?);
    }
    same("left behind", left, vec![])?;
    stopped.map(drop)
}

/// What the agent and its canary put on the host: cgroups and processes.
fn traces() -> Result<BTreeSet<String>> {
    let cgroups = fs::read_dir(place::cgroup_root()?)?.flatten();
    let names = cgroups.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: BTreeSet<String> = names
        .filter(|name| name.starts_with("metamcp-guard"))
        .collect();
    for process in fs::read_dir("/proc")?.flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        if words.contains("--canary") {
            found.insert(format!("process: {words}"));
        }
    }
    Ok(found)
}
