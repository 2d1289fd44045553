//! Many targets, and one that comes and goes.

use std::fmt::Write;

use anyhow::{Result, ensure};
use guard_tests::agent::output;
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, ONLY, cap};
use guard_tests::tables::{Held, Tables};
use guard_tests::{Cgroup, Folder, Storm, Witness};

use crate::scene::gauges;

/// A cgroup of the same path is made, entered and removed 200 times: one target, whose counts go on, and
/// of which nothing is left in any table.
pub fn reborn() -> Result<()> {
    const TIMES: u64 = 200;
    let parent = Cgroup::new("reborn")?;
    let witness = Witness::watch(&parent)?;
    let path = parent.path().join("child").display().to_string();
    let mut guarded = Guarded::begin(&path, &cap(10), &[])?;
    guarded.hears(ONLY, "waiting", &[])?;
    guarded.hears(ONLY, "action", &[("action", "gate")])?;
    let tables = Tables::of(&guarded.agent)?;
    let times = TIMES.to_string();
    let report = Storm::start_here(&["reborn", &times, "--into", &path])?.report()?;
    same("made, failed", (report.made, report.failed), (3 * TIMES, 0))?;
    let said = guarded.agrees(&witness)?;
    same("gauges", gauges(&said), [0; 4])?;
    let counts = &said.counts;
    same(
        "entered, forked, ended",
        (counts.entered, counts.spawns, counts.exits),
        (TIMES, 2 * TIMES, 3 * TIMES),
    )?;
    guarded.until("disarmed", |said| !said.armed)?;
    same("entries", tables.held(0)?, Held::default())?;
    // And once more, to its cap.
    let child = parent.nested("child")?;
    let report = Storm::run(&child, &["execs", "40", "--hold", "300"])?;
    same("executed", report.executed, 9)?;
    let said = guarded.agrees(&witness)?;
    same("peak", said.counts.peak_live, 10)?;
    drop(child);
    guarded.until("disarmed", |said| !said.armed)?;
    same("entries", tables.held(0)?, Held::default())?;
    guarded.agent.stop_cleanly().map(drop)
}

/// As many as can be guarded, each counted by itself and held to its own cap; one more is refused in one
/// sentence.
pub fn five_hundred() -> Result<()> {
    const MOST: usize = 500;
    let parent = Cgroup::new("many")?;
    let config = |number: usize| -> Result<String> {
        let mut text = String::new();
        for n in 0..number {
            let path = parent.path().join(format!("t{n}"));
            write!(
                text,
                "[[target]]\nname = \"t{n}\"\ncgroup = \"{}\"\n[target.gate]\n{}\n",
                path.display(),
                cap(3)
            )?;
        }
        Ok(text)
    };
    let cgroups = (0..MOST).map(|n| parent.nested(&format!("t{n}")));
    let cgroups = cgroups.collect::<Result<Vec<_>>>()?;
    let mut guarded = Guarded::begin_config("info", &config(MOST)?, &[])?;
    guarded.hears("t0", "armed", &[])?;
    let all =
        |what: &str, holds: &dyn Fn(&guard_userspace::model::status::TargetStatus) -> bool| {
            let mut last = None;
            let every = || -> Result<bool> {
                let status = guarded.status()?;
                same("targets", status.targets.len(), MOST)?;
                last = status.targets.into_iter().find(|said| !holds(said));
                Ok(last.is_none())
            };
            let done = guard_tests::check::eventually(what, guard_tests::guarded::SOON, every);
            done.map_err(|error| error.context(format!("one of them: {last:?}")))
        };
    all("armed", &|said| said.armed && said.limits.is_some())?;
    let tables = Tables::of(&guarded.agent)?;
    let folder = parent.path().display().to_string();
    let report = Storm::start_here(&["tour", "2", "--into", &folder])?.report()?;
    same("made", report.made, 3 * MOST as u64)?;
    all("each has its own", &|said| {
        let counts = &said.counts;
        (counts.entered, counts.spawns, counts.exits) == (1, 2, 3) && gauges(said) == [0; 4]
    })?;
    let last = cgroups.last().ok_or_else(|| anyhow::anyhow!("none"))?;
    let report = Storm::run(last, &["execs", "20", "--hold", "300"])?;
    same("executed in the last", report.executed, 2)?;
    guarded.until_of("t499", "all gone", |said| gauges(said) == [0; 4])?;
    for slot in [0, 250, 499] {
        let held = Held {
            cgroups: 1,
            ..Held::default()
        };
        same("entries of a slot", tables.held(slot)?, held)?;
    }
    guarded.agent.stop_cleanly()?;

    let folder = Folder::new()?;
    let file = folder.file("config.toml", &config(MOST + 1)?)?;
    let refused = output(&["run", "--config", &file])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(
        refused.status.code() == Some(2) && said.contains("501 targets; 500 can be guarded"),
        "{}: {said}",
        refused.status
    );
    Ok(())
}
