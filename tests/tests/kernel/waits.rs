//! A host that waits for memory, which only a virtual machine is put through.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY, SOON};
use guard_tests::suite::cannot_here;
use guard_tests::{Cgroup, Storm, place};

use serde_json::Value;

use crate::machine::in_a_machine;
use crate::scene::STAYS;

const PRESSURE: &str = "/proc/pressure/memory";

/// Two processes are a warning, and somebody else's memory makes the whole host wait: that is escalation 4,
/// said once with what stops the target. When the host has its memory again the step stays, as it was had.
pub fn is_escalation_four() -> Result<()> {
    in_a_machine()?;
    if !Path::new(PRESSURE).exists() {
        return Err(cannot_here(
            "this kernel does not say how long it waits for memory",
        ));
    }
    let cgroup = Cgroup::new("suffers")?;
    let targets = format!(
        "[[target]]\nname = \"{ONLY}\"\ncgroup = \"{}\"\n[target.processes]\ncount = \"total\"\nwarning = 2\n\
         critical = 50\nemergency = 60\nnuclear = 70\n",
        cgroup.path().display()
    );
    let mut guarded = Guarded::begin_config("info", &targets, &[])?;
    guarded.ready(ONLY)?;
    let mut stay = Storm::start(&cgroup, &["sleepers", "2", "--hold", STAYS])?;
    stay.ready()?;
    let opened = guarded.hears(ONLY, "incident_opened", &[])?;
    same("escalation", step(&opened), Some(1))?;

    let hog = Narrow::new()?;
    let heap = Storm::start(&hog.0, &["heap", "256", "--hold", "60000"])?;
    let worse = guarded
        .hears(ONLY, "escalation", &[])
        .with_context(|| fs::read_to_string(PRESSURE).unwrap_or_default())?;
    same("escalation", step(&worse), Some(4))?;
    let why = worse.get("why").and_then(Value::as_str).unwrap_or_default();
    ensure!(
        why.contains("the host waits for memory") && why.contains(&format!("freeze {ONLY}")),
        "{worse}"
    );
    eventually("status says so", SOON, || {
        let incident = guarded.only()?.sentinel.incident;
        Ok(incident.is_some_and(|open| open.escalation == 4))
    })?;
    hog.0.kill()?;
    heap.killed()?;
    cgroup.kill()?;
    stay.killed()?;
    let events = guarded.agent.stop_cleanly()?;
    let worse = events
        .iter()
        .filter(|line| line.get("event").is_some_and(|event| event == "escalation"));
    same("times it was said", worse.count(), 1)
}

fn step(line: &Value) -> Option<u64> {
    line.get("escalation")?.as_u64()
}

/// A cgroup whose memory is throttled past a few megabytes.
struct Narrow(Cgroup);

impl Narrow {
    fn new() -> Result<Self> {
        let cgroup = Cgroup::new("narrow")?;
        // Each level hands the controller down to the next.
        let root = place::cgroup_root()?;
        let mut levels: Vec<&Path> = cgroup.path().ancestors().skip(1).collect();
        levels.reverse();
        for level in levels.into_iter().filter(|level| level.starts_with(&root)) {
            fs::write(level.join("cgroup.subtree_control"), "+memory")
                .with_context(|| format!("the memory controller of {}", level.display()))?;
        }
        fs::write(cgroup.path().join("memory.high"), (8 << 20).to_string())
            .context("memory.high")?;
        Ok(Self(cgroup))
    }
}
