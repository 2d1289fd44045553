//! What is done to a whole machine, and so only to a virtual one: its clock is set, its pids run out, it
//! falls asleep.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY, SOON, Target, cap};
use guard_tests::suite::cannot_here;
use guard_tests::tables::{Held, Tables};
use guard_tests::{Cgroup, Storm, Witness};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use crate::scene::{STAYS, Scene, refuses};

/// The init of a virtual machine has it.
const MACHINE: &str = "/vm/command";

/// # Errors
/// It is the host itself.
pub fn in_a_machine() -> Result<()> {
    if !Path::new(MACHINE).is_file() {
        return Err(cannot_here(
            "it would set this machine's clock, let its pids or memory run out, or put it to sleep",
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

/// The machine's memory sleeps (S3) until its clock's alarm, so many seconds from now. How long it slept,
/// by the clock that goes on meanwhile and the one that does not.
fn sleeps(seconds: u64) -> Result<Duration> {
    let slept = || -> Result<Duration> {
        let since = |clock| -> Result<Duration> {
            let now = clock_gettime(clock);
            let nanos = u32::try_from(now.tv_nsec)?;
            Ok(Duration::new(u64::try_from(now.tv_sec)?, nanos))
        };
        Ok(since(ClockId::Boottime)?.saturating_sub(since(ClockId::Monotonic)?))
    };
    let before = slept()?;
    fs::write("/sys/class/rtc/rtc0/wakealarm", format!("+{seconds}")).context("the alarm")?;
    fs::write("/sys/power/state", "mem").context("falling asleep")?;
    Ok(slept()?.saturating_sub(before))
}

/// The machine sleeps in mid-storm, longer than the agent may be away: it wakes to the same gate, every
/// event counted, no false alarm, and a bucket in which the night's tokens are.
pub fn falls_asleep() -> Result<()> {
    in_a_machine()?;
    const BURST: u64 = 40;
    const NIGHT: u64 = 8;
    let cgroup = Cgroup::new("asleep")?;
    let witness = Witness::watch(&cgroup)?;
    let path = cgroup.path().display().to_string();
    let gate = format!("max_processes = 1000\nspawn_rate = 1\nspawn_burst = {BURST}");
    let target = Target {
        name: ONLY,
        path: &path,
        gate: &gate,
    };
    let head = "canary_every = \"1s\"\nagent_timeout = \"3s\"\non_agent_exit = \"release\"";
    let mut guarded = Guarded::begin_all("info", head, &[target], &[])?;
    guarded.ready(ONLY)?;
    let mode = guarded.status()?.gate.mode;
    let began = clock_gettime(ClockId::Boottime).tv_sec;
    let storm = Storm::start(
        &cgroup,
        &["execs", "300", "--hold", "0", "--pace-us", "20000"],
    )?;
    guarded.until("the bucket is empty", |said| {
        said.counts.denied + said.counts.condemned > 0
    })?;
    let slept = sleeps(NIGHT)?;
    ensure!(slept.as_secs() + 2 >= NIGHT, "it slept {slept:?}");
    let report = storm.report()?;
    let took = clock_gettime(ClockId::Boottime).tv_sec - began;
    // One a second, those of the night too, and the one that is due.
    let most = BURST + u64::try_from(took)? + 2;
    let ran = report.executed;
    ensure!(ran <= most, "{ran} ran where the bucket had {most}");
    let least = BURST + slept.as_secs().saturating_sub(1);
    ensure!(ran >= least, "{ran} ran where the bucket had {least}");
    same(
        "all",
        ran + report.refused + report.killed + report.failed,
        300,
    )?;
    let said = guarded.agrees(&witness)?;
    same("would have been refused", said.counts.would_refuse, 0)?;
    // The canary has its turns after the night too.
    let turns = || {
        let canary = guard_tests::place::cgroup_root()?.join("metamcp-guard-canary");
        eventually("the canary is out", SOON, || Ok(canary.is_dir()))?;
        eventually("it is back", SOON, || Ok(!canary.is_dir()))
    };
    turns()?;
    turns()?;
    let status = guarded.status()?;
    same("mode", &status.gate.mode, &mode)?;
    ensure!(status.sensing && status.gate.proved, "{status:?}");
    same("problems", status.problems, Vec::new())?;
    let alarms = guarded.agent.events().into_iter();
    let alarms = alarms.filter(|line| {
        let is = |name: &str| line.get("event").is_some_and(|event| event == name);
        is("gate_changed") || is("lost_events") || is("guardian")
    });
    let alarms: Vec<String> = alarms.map(|line| line.to_string()).collect();
    same("alarms", alarms, Vec::new())?;
    guarded.agent.stop_cleanly().map(drop)
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
