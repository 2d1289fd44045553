//! How soon an agent counts: with nothing there, and where an earlier one has left its gate.

use std::time::{Duration, Instant};

use anyhow::Result;
use guard_tests::bench::{Table, float, times};
use guard_tests::guarded::{Guarded, ONLY, Target, WIDE};
use guard_tests::{Cgroup, Witness};

use crate::agent::{LATE, START_MS};

/// Forks before the first agent's end, and between the two.
const FORKS: &str = "500";

/// One round: an agent, its end by SIGKILL, forks while there is none, another agent.
pub fn round(table: &mut Table) -> Result<()> {
    let cgroup = Cgroup::new("bench-adoption")?;
    let witness = Witness::watch(&cgroup)?;
    let path = cgroup.path().display().to_string();
    let target = Target {
        name: ONLY,
        path: &path,
        gate: WIDE,
    };
    let began = Instant::now();
    let mut first = Guarded::begin_all("info", "on_agent_exit = \"keep\"", &[target], &[])?;
    came(table, "fresh", &mut first, began)?;
    times(Some(&cgroup), &["forks", FORKS])?;
    let left = first.kill_and_leave()?;
    times(Some(&cgroup), &["forks", FORKS])?;

    let began = Instant::now();
    let mut second = left.begin(&[])?;
    came(table, "adopting a pinned gate", &mut second, began)?;
    let counts = second.agrees(&witness)?.counts;
    let wrong = counts.spawns.abs_diff(witness.counts()?.spawns);
    let what = "spawns counted wrong, those without an agent among them";
    table.add(what, "", float(wrong), Some(0.0));
    second.agent.stop_cleanly().map(drop)
}

fn came(table: &mut Table, what: &str, guarded: &mut Guarded, began: Instant) -> Result<()> {
    guarded.hears(ONLY, "armed", &[])?;
    let counts = format!("{what}: start to counting");
    table.add(&counts, "ms", ms(began.elapsed()), Some(START_MS));
    table.because(&counts, LATE);
    guarded.hears(ONLY, "action", &[("action", "gate")])?;
    let holds = format!("{what}: start to its limits in force");
    table.add(&holds, "ms", ms(began.elapsed()), None);
    Ok(())
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}
