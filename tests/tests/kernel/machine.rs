//! What is done to a whole machine, and so only to a virtual one: its clock is set, its pids run out.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{ONLY, SOON, cap};
use guard_tests::suite::cannot_here;
use guard_tests::tables::{Held, Tables};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use crate::scene::{STAYS, Scene, refuses};

/// The init of a virtual machine has it.
const MACHINE: &str = "/vm/command";

fn in_a_machine() -> Result<()> {
    if !Path::new(MACHINE).is_file() {
        return Err(cannot_here(
            "it would set this machine's clock, or let its pids run out",
        ));
    }
    Ok(())
}

/// The wall clock, set by so many seconds. Dropped, it is set back.
struct Set(i64);

impl Set {
    fn by(seconds: i64) -> Result<Self> {
        shift(seconds)?;
        Ok(Self(seconds))
    }
}

fn shift(seconds: i64) -> Result<()> {
    let now = clock_gettime(ClockId::Realtime);
    let to = Timespec {
        tv_sec: now.tv_sec + seconds,
        ..now
    };
    clock_settime(ClockId::Realtime, to).context("setting the clock")
}

impl Drop for Set {
    fn drop(&mut self) {
        if let Err(error) = shift(-self.0) {
            eprintln!("test kit: {error:#}");
        }
    }
}

/// The wall clock goes two days on and three back in mid-storm: no token comes of it, no count goes wrong,
/// and the agent is well.
pub fn clock_is_set() -> Result<()> {
    in_a_machine()?;
    const BURST: u64 = 60;
    const DAY: i64 = 86_400;
    let gate = format!("max_processes = 1000\nspawn_rate = 1\nspawn_burst = {BURST}");
    let scene = Scene::set("clock", &gate)?;
    let began = Instant::now();
    let before = scene.guarded.status()?.taken_ms;
    let storm = || scene.storm(&["execs", "70", "--hold", "0"]);
    let mut ran = storm()?.executed;
    for days in [2, -3] {
        let _set = Set::by(days * DAY)?;
        ran += storm()?.executed;
        let moved = days.abs() * DAY * 1_000 / 2;
        eventually("the agent's own time follows", SOON, || {
            Ok((scene.guarded.status()?.taken_ms - before).abs() > moved)
        })?;
        let status = scene.guarded.status()?;
        ensure!(status.sensing && status.gate.proved, "{status:?}");
        ensure!(status.problems.is_empty(), "{:?}", status.problems);
    }
    // One a second, and the one that is due.
    let most = BURST + began.elapsed().as_secs() + 1;
    ensure!(ran <= most, "{ran} ran where the bucket had {most}");
    ensure!(
        ran >= BURST,
        "{ran} ran where the bucket had {BURST} at once"
    );
    scene.at_rest()?;
    scene.guarded.agent.stop_cleanly().map(drop)
}

/// Most pids of a machine, set back when dropped.
struct PidMax(String);

const PID_MAX: &str = "/proc/sys/kernel/pid_max";

impl PidMax {
    fn set(most: u64) -> Result<Self> {
        let before = fs::read_to_string(PID_MAX).context(PID_MAX)?;
        fs::write(PID_MAX, most.to_string()).context(PID_MAX)?;
        Ok(Self(before))
    }
}

impl Drop for PidMax {
    fn drop(&mut self) {
        if let Err(error) = fs::write(PID_MAX, self.0.trim()) {
            eprintln!("test kit: {PID_MAX}: {error}");
        }
    }
}

/// With 500 pids for all, each is given away again and again, to processes and threads, in the target and
/// beside it: nobody is taken for who had the pid before.
pub fn pids_are_used_again() -> Result<()> {
    in_a_machine()?;
    const PIDS: u64 = 500;
    const CAP: u64 = 40;
    let scene = Scene::set("pids", &cap(CAP))?;
    let tables = Tables::of(&scene.guarded.agent)?;
    let _few = PidMax::set(PIDS)?;
    let mut stay = scene.start(&["sleepers", "10", "--hold", STAYS])?;
    stay.ready()?;
    let beside = guard_tests::Storm::start_here(&["forks", "800", "--parallel", "2"])?;
    let forks = scene.storm(&["forks", "800", "--parallel", "4"])?;
    let threads = scene.storm(&["thread-churn", "300"])?;
    same("forks made", forks.made, forks.tried)?;
    same("threads made", threads.made, threads.tried)?;
    same("forks made beside it", beside.report()?.made, 800)?;
    let crowd = scene.storm(&["execs", "60", "--hold", "300"])?;
    let said = scene.guarded.agrees(&scene.witness)?;
    ensure!(
        said.counts.spawns > PIDS,
        "the pids did not run out: {:?}",
        said.counts
    );
    // The storm itself has a place, and those who stay with theirs.
    let room = CAP - 11 - 1;
    same("programs that had room", crowd.executed, room)?;
    let seen = scene.witness.counts()?;
    if refuses()? {
        ensure!(seen.live_peak <= CAP + 1, "held at {CAP}: {seen:?}");
    }
    scene.cgroup.kill()?;
    stay.killed()?;
    scene.at_rest()?;
    thread::sleep(Duration::from_millis(100));
    let empty = Held {
        cgroups: 1,
        ..Held::default()
    };
    same("entries", tables.held(0)?, empty)?;
    ensure!(
        scene.guarded.target(ONLY)?.counts.table_full == 0,
        "a table was full"
    );
    scene.guarded.agent.stop_cleanly().map(drop)
}
