//! Ends: forks that fail, cgroups that are killed, an agent that dies.

use anyhow::{Result, ensure};
use guard_tests::Storm;
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, ONLY, WIDE, cap};
use guard_tests::pids::PidsMax;

use crate::scene::{STAYS, Scene, settles};

/// The kernel refuses forks for which the guard had room: what they had taken comes back. The
/// bucket would be empty soon if the tokens did not.
pub fn of_failed_forks() -> Result<()> {
    let gate = "max_processes = 100\nspawn_rate = 1\nspawn_burst = 60";
    let scene = Scene::set("pids-max", gate)?;
    let pids = PidsMax::set(&scene.cgroup, 20)?;
    let more = pids.arguments();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();

    let report = scene.storm(&[&["sleepers", "100", "--hold", "4000"], &more[..]].concat())?;
    same(
        "made, refused by pids.max",
        (report.made, report.refused),
        (19, 81),
    )?;
    let said = scene.at_rest()?;
    same("spawns", said.counts.spawns, 19)?;
    same(
        "stopped by the guard",
        (said.counts.denied, said.counts.condemned),
        (0, 0),
    )?;

    // The same from many processes at once, and with a bucket that has no end.
    scene.end()?;
    let scene = Scene::set("pids-max", WIDE)?;
    drop(pids);
    let pids = PidsMax::set(&scene.cgroup, 15)?;
    let more = pids.arguments();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let bomb = ["bomb", "10", "--seconds", "60", "--hold", "500"];
    let report = scene.storm(&[&bomb[..], &["--attempts", "2000"], &more].concat())?;
    ensure!(report.refused > 100, "the bomb did not press: {report:?}");
    let said = scene.at_rest()?;
    same("spawns", said.counts.spawns, report.made)?;
    same(
        "stopped by the guard",
        (said.counts.denied, said.counts.condemned),
        (0, 0),
    )?;
    let most = scene.witness.counts()?.live_peak;
    ensure!(most <= 15, "{most} at once under pids.max = 15");
    scene.end()
}

pub fn of_a_killed_cgroup() -> Result<()> {
    let scene = Scene::set("killed", &cap(40))?;
    for storm in [
        &["forks", "100000", "--parallel", "4"][..],
        &["bomb", "16", "--seconds", "120", "--attempts", "100000"],
        &["execs", "100000"],
    ] {
        let before = scene.at_rest()?.counts.spawns;
        let running = scene.start(storm)?;
        scene
            .guarded
            .until("under way", |said| said.counts.spawns > before + 30)?;
        scene.cgroup.kill()?;
        running.killed()?;
        scene.at_rest()?;
    }
    scene.end()
}

/// Without pins the gate ends with its agent; the next one takes over what runs.
pub fn of_the_agent() -> Result<()> {
    let scene = Scene::set("orphaned", &cap(10))?;
    let report = scene.storm(&["execs", "30", "--hold", "300"])?;
    same("executed under the gate", report.executed, 9)?;
    scene.at_rest()?;
    // In mid-storm.
    let mut sleepers = scene.start(&["sleepers", "5", "--hold", STAYS])?;
    sleepers.ready()?;
    scene.guarded.agent.kill()?;
    let report = Storm::run(&scene.cgroup, &["execs", "30", "--hold", "300"])?;
    same(
        "executed, refused, killed without an agent",
        (report.executed, report.refused, report.killed),
        (30, 0, 0),
    )?;

    let mut guarded = Guarded::start(&scene.cgroup, &cap(10), &[])?;
    let armed = guarded.hears(ONLY, "armed", &[])?;
    same("adopted", armed.get("adopted").cloned(), Some(6.into()))?;
    settles(&guarded, 6, 6)?;
    let report = Storm::run(&scene.cgroup, &["execs", "30", "--hold", "300"])?;
    same("executed under the next agent", report.executed, 3)?;
    settles(&guarded, 6, 6)?;
    scene.cgroup.kill()?;
    sleepers.killed()?;
    settles(&guarded, 0, 0)?;
    guarded.agent.stop_cleanly().map(drop)
}
