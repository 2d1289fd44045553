//! Counting: exact, whatever the processes do.

use std::fs;

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{SOON, WIDE, cap};
use rustix::process::{Pid, Signal, kill_process};

use crate::scene::{STAYS, Scene, settles};

pub fn forks() -> Result<()> {
    let scene = Scene::set("forks", WIDE)?;
    // One after the other, then from four threads: at most that many children beside the parent.
    for (arguments, n, peak) in [
        (&["forks", "1000"][..], 1_000, 2..=2),
        (&["forks", "5000", "--parallel", "4"], 5_000, 2..=5),
    ] {
        let before = scene.at_rest()?.counts;
        let report = scene.storm(arguments)?;
        same("made", report.made, n)?;
        let counts = scene.at_rest()?.counts;
        same("spawns", counts.spawns - before.spawns, n)?;
        same("exits", counts.exits - before.exits, n + 1)?;
        same(
            "none was stopped",
            (counts.denied, counts.condemned),
            (0, 0),
        )?;
        let most = counts.peak_live;
        ensure!(peak.contains(&most), "{most} at once, expected {peak:?}");
    }
    scene.end()
}

/// `signal->live` is 0 for both of two threads that end together, and after an exec by a thread
/// that is not the first the process's pid belongs to another task.
pub fn twins_and_thread_execs() -> Result<()> {
    let scene = Scene::set("twins", WIDE)?;
    scene.storm(&["twin-exit", "400"])?;
    let counts = scene.at_rest()?.counts;
    same(
        "twins: spawns, threads, exits",
        (counts.spawns, counts.threads, counts.exits),
        (400, 400, 401),
    )?;
    scene.storm(&["thread-exec", "100"])?;
    let counts = scene.at_rest()?.counts;
    same(
        "and execs by a second thread: spawns, threads, execs, exits",
        (counts.spawns, counts.threads, counts.execs, counts.exits),
        (500, 500, 100, 502),
    )?;
    scene.end()
}

/// The parent is stopped, so that its killed children stay zombies.
pub fn zombies() -> Result<()> {
    const DEAD: u64 = 20;
    let scene = Scene::set("zombies", &cap(DEAD + 1))?;
    let mut storm = scene.start(&["sleepers", "20", "--hold", STAYS])?;
    let children = storm.ready()?;
    settles(&scene.guarded, DEAD + 1, DEAD + 1)?;
    let parent = pid(storm.pid())?;
    kill_process(parent, Signal::STOP)?;
    let stopped = || Ok(state(storm.pid())? == 'T');
    eventually("the parent is stopped", SOON, stopped)?;
    for &child in &children {
        kill_process(pid(child)?, Signal::KILL)?;
    }
    let said = settles(&scene.guarded, 1, 1)?;
    same("exits", said.counts.exits, DEAD)?;
    for child in children {
        same("a dead child that nobody waits for", state(child)?, 'Z')?;
    }
    // They hold no slots: beside the two parents there is room for 19 programs.
    let report = scene.storm(&["execs", "19", "--hold", "200"])?;
    same("executed beside zombies", report.executed, DEAD - 1)?;
    kill_process(parent, Signal::CONT)?;
    same("killed", storm.report()?.killed, DEAD)?;
    scene.at_rest()?;
    scene.end()
}

fn pid(raw: u32) -> Result<Pid> {
    let pid = i32::try_from(raw).ok().and_then(Pid::from_raw);
    pid.context("no pid")
}

/// The letter behind the name in /proc/PID/stat.
fn state(pid: u32) -> Result<char> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).context(path)?;
    let behind = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    behind.with_context(|| format!("no state in {stat:?}"))
}
