//! Forks over the limit that never execute anything: where the kernel can, those beyond `newborn_max` die
//! before they have run an instruction of their own.

use anyhow::{Result, ensure};
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, cap};
use guard_tests::{Cgroup, Storm, Witness};

use crate::deny::{by, refusal};
use crate::scene::gauges;

/// Most condemned processes that may run.
const MOST: u64 = 6;

/// How long each stays: until all are born, however slow the machine is, and not so long that the agent
/// ends it.
const HOLD: &str = "2500";

/// Each that runs says so in memory that it shares with the storm, first of all.
pub fn die_at_birth() -> Result<()> {
    const CAP: u64 = 10;
    const FORKS: u64 = 80;
    refusal()?;
    for mode in ["deny", "kill"] {
        let cgroup = Cgroup::new("newborns")?;
        let witness = Witness::watch(&cgroup)?;
        let gate = format!("{}\nnewborn_max = {MOST}", cap(CAP));
        let guarded = Guarded::start(&cgroup, &by(mode, &gate), &[])?;
        let can = guarded.status()?.gate.kills_at_birth;
        let mut storm = Storm::start(&cgroup, &["sleepers", &FORKS.to_string(), "--hold", HOLD])?;
        storm.ready()?;
        let condemned = FORKS + 1 - CAP;
        let runs = if can { MOST } else { condemned };
        let last = guarded.until("those who may run are left", |said| {
            said.counts.condemned_now == runs && said.counts.live == CAP
        })?;
        same("killed by then", last.counts.killed, condemned - runs)?;
        same("bodies", witness.counts()?.live, CAP + runs)?;
        let report = storm.report()?;
        println!(
            "  {mode}: {} ran, {} killed",
            report.executed, report.killed
        );
        same("ran", report.executed, CAP - 1 + runs)?;
        same("killed", report.killed, condemned - runs)?;
        let said = guarded.agrees(&witness)?;
        let counts = &said.counts;
        same(
            "condemned, killed, denied",
            (counts.condemned, counts.killed, counts.denied),
            (condemned, condemned - runs, 0),
        )?;
        same("gauges", gauges(&said), [0; 4])?;
        guarded.agent.stop_cleanly()?;
    }
    Ok(())
}

/// A doubling bomb: those that run fork, and die of it; who they fork dies at birth or runs, and so on.
pub fn of_a_bomb() -> Result<()> {
    const CAP: u64 = 10;
    let cgroup = Cgroup::new("bomb")?;
    let witness = Witness::watch(&cgroup)?;
    let gate = format!("{}\nnewborn_max = {MOST}", cap(CAP));
    let guarded = Guarded::start(&cgroup, &by("kill", &gate), &[])?;
    let can = guarded.status()?.gate.kills_at_birth;
    let bounds = ["--seconds", "60", "--hold", "500", "--attempts", "1500"];
    let report = Storm::run(&cgroup, &[&["bomb", "8"], &bounds[..]].concat())?;
    let said = guarded.agrees(&witness)?;
    let (counts, seen) = (&said.counts, witness.counts()?);
    println!(
        "  {} made, {} ran, {} killed, {} bodies at once",
        report.made, report.executed, report.killed, seen.live_peak
    );
    same("gauges", gauges(&said), [0; 4])?;
    same("killed", report.killed, counts.killed)?;
    same("ended badly", (report.failed, report.refused), (0, 0))?;
    same("live at once", counts.peak_live, CAP)?;
    ensure!(counts.killed > CAP, "the bomb did not press: {counts:?}");
    let unborn = counts.spawns.checked_sub(report.executed);
    ensure!(
        unborn.is_some_and(|unborn| unborn <= counts.killed && (unborn > 0) == can),
        "{unborn:?} never ran, {} were killed; at birth: {can}",
        counts.killed
    );
    guarded.agent.stop_cleanly().map(drop)
}
