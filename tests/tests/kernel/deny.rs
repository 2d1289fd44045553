//! The mode `deny`, on any kernel that has it, whatever the best one is there: storms, what it cannot
//! see, and an agent that is stopped or killed meanwhile. And `kill`, which stands behind it.
//!
//! All spawn in mount namespaces of their own: nothing here marks a mount of the host's.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_common::GateMode;
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY, SOON, Target, cap};
use guard_tests::load::tally::Report;
use guard_tests::suite::cannot_here;
use guard_tests::{Apart, Cgroup, Storm, Witness};
use guard_userspace::kernel::deny::Refusal;
use guard_userspace::kernel::deny::probe::probe;
use rustix::process::{Pid, Signal, kill_process};

use crate::scene::{STAYS, gauges, stopped_by};

/// Longest that an exec may wait, whatever befalls the agent.
const PROMISED: Duration = Duration::from_secs(2);

/// What a shell executes: no builtin, and in PATH wherever it runs.
const PROGRAM: &str = "sh -c :";

/// A gate that has this mode and no other.
pub fn by(mode: &str, gate: &str) -> String {
    format!("{gate}\nmodes = [\"{mode}\"]\ndeny_errno = \"any\"")
}

/// What a denied exec says here.
pub fn refusal() -> Result<Refusal> {
    probe().map_err(|lack| cannot_here(&format!("no exec can be denied: {lack}")))
}

/// Where the kernel can say EPERM alone, the storm takes it for a failure.
pub fn as_refused(mut report: Report) -> Result<Report> {
    if refusal()? == Refusal::Eperm {
        report.refused += std::mem::take(&mut report.failed);
    }
    Ok(report)
}

/// A guarded cgroup, in that mode alone.
struct Scene {
    guarded: Guarded,
    witness: Witness,
    cgroup: Cgroup,
}

impl Scene {
    fn set(test: &str, mode: &str, gate: &str) -> Result<Self> {
        let cgroup = Cgroup::new(test)?;
        let witness = Witness::watch(&cgroup)?;
        let mut guarded = Guarded::start(&cgroup, &by(mode, gate), &[])?;
        let event = guarded.hears(ONLY, "gate_mode", &[("mode", mode)])?;
        same("proved", event.get("proved").cloned(), Some(true.into()))?;
        same("mode", guarded.only()?.mode.as_str(), mode)?;
        Ok(Self {
            guarded,
            witness,
            cgroup,
        })
    }

    fn storm(&self, arguments: &[&str]) -> Result<Report> {
        as_refused(Storm::run(&self.cgroup, arguments)?)
    }
}

/// Exactly as many programs as there is room for; all others fail at their exec, and none is killed.
pub fn storms() -> Result<()> {
    const CAP: u64 = 40;
    refusal()?;
    let scene = Scene::set("denied", "deny", &cap(CAP))?;
    let mut in_all = 0;
    for (n, vfork) in [("400", &[][..]), ("200", &["--vfork"])] {
        let storm = [&["execs", n, "--hold", "1000"], vfork].concat();
        let report = scene.storm(&storm)?;
        same("executed", report.executed, CAP - 1)?;
        let over = n.parse::<u64>()? + 1 - CAP;
        in_all += over;
        let said = scene.guarded.agrees(&scene.witness)?;
        stopped_by(GateMode::Deny, &report, over, &said.counts, in_all)?;
        same("gauges", gauges(&said), [0; 4])?;
        same("at once", scene.witness.counts()?.running_peak, CAP)?;
    }
    same("problems", scene.guarded.status()?.problems, Vec::new())?;
    scene.guarded.agent.stop_cleanly().map(drop)
}

/// Two storms at the same time, each in mounts of its own, each to its own cap; and one that is held
/// by `kill` beside them.
pub fn two_targets() -> Result<()> {
    refusal()?;
    let names = ["one", "two", "killed"];
    let cgroups = names.map(Cgroup::new);
    let cgroups = cgroups.into_iter().collect::<Result<Vec<_>>>()?;
    let paths: Vec<_> = cgroups
        .iter()
        .map(|cgroup| cgroup.path().display().to_string())
        .collect();
    let gates = [
        by("deny", &cap(20)),
        by("deny", &cap(30)),
        by("kill", &cap(10)),
    ];
    let targets: Vec<_> = names
        .iter()
        .zip(&paths)
        .zip(&gates)
        .map(|((name, path), gate)| Target { name, path, gate })
        .collect();
    let mut guarded = Guarded::begin_all("info", "", &targets, &[])?;
    for name in names {
        guarded.ready(name)?;
    }
    let storm = ["execs", "150", "--hold", "2000", "--pace-us", "500"];
    let storms: Vec<_> = cgroups
        .iter()
        .map(|cgroup| Storm::start(cgroup, &storm))
        .collect::<Result<_>>()?;
    let modes = [GateMode::Deny, GateMode::Deny, GateMode::Kill];
    for (((storm, name), cap), mode) in storms.into_iter().zip(names).zip([20, 30, 10]).zip(modes) {
        let report = as_refused(storm.report()?)?;
        same(name, report.executed, cap - 1)?;
        let said = guarded.until_of(name, "all gone", |said| gauges(said) == [0; 4])?;
        stopped_by(mode, &report, 151 - cap, &said.counts, 151 - cap).context(name)?;
        same("live at once", said.counts.peak_live, cap)?;
    }
    guarded.agent.stop_cleanly().map(drop)
}

/// What is executed from memory, or from a mount that was not there a moment ago, needs no loader
/// and so touches nothing that is marked: it dies, and the cap holds.
pub fn evasion() -> Result<()> {
    const CAP: u64 = 20;
    refusal()?;
    let scene = Scene::set("evasion", "deny", &cap(CAP))?;
    for place in ["memory", "mount"] {
        let before = scene.guarded.only()?.counts;
        let storm = ["execs", "100", "--hold", "1000", "--tiny", place];
        let report = scene.storm(&storm)?;
        same("executed", report.executed, CAP - 1)?;
        same("failed", report.failed, 0)?;
        same("stopped", report.refused + report.killed, 101 - CAP)?;
        if place == "memory" {
            same("killed", report.killed, 101 - CAP)?;
        }
        println!(
            "  from {place}: {} denied, {} killed",
            report.refused, report.killed
        );
        let said = scene.guarded.agrees(&scene.witness)?.counts;
        same(
            "denied and killed, as the guard says",
            (said.denied - before.denied, said.killed - before.killed),
            (report.refused, report.killed),
        )?;
        same("live at once", said.peak_live, CAP)?;
    }
    let seen = scene.witness.counts()?;
    same("programs at once", seen.running_peak, CAP)?;
    scene.guarded.agent.stop_cleanly().map(drop)
}

/// Far from its limits nothing of a target is marked, near them it is, and no longer afterwards.
pub fn far_from_the_limits() -> Result<()> {
    refusal()?;
    let scene = Scene::set("far", "deny", &cap(100))?;
    let marked = |said: bool| {
        let what = format!("marked: {said}");
        eventually(&what, SOON, || {
            let status = scene.guarded.status()?;
            let only = status.targets.first().context("no target")?;
            same("the host", only.host_asked, false)?;
            Ok((only.asked, status.gate.marked_mounts > 0) == (said, said))
        })
    };
    let mut far = Storm::start(&scene.cgroup, &["sleepers", "20", "--hold", STAYS])?;
    far.ready()?;
    std::thread::sleep(Duration::from_millis(500));
    marked(false)?;
    let mut near = Storm::start(&scene.cgroup, &["sleepers", "70", "--hold", STAYS])?;
    near.ready()?;
    marked(true)?;
    scene.cgroup.kill()?;
    far.killed()?;
    near.killed()?;
    marked(false)?;
    scene.guarded.agent.stop_cleanly().map(drop)
}

/// A shell at its cap, so near that each of its execs is asked about.
fn shell_at_its_cap(scene: &Scene) -> Result<Apart> {
    if Command::new("unshare").arg("--version").output().is_err() {
        return Err(cannot_here("this machine has no shell and no unshare(1)"));
    }
    let mut shell = Apart::shell()?;
    scene.cgroup.take(shell.pid())?;
    eventually("its mounts are marked", SOON, || {
        Ok(scene.guarded.status()?.gate.marked_mounts > 0)
    })?;
    shell.does(PROGRAM)?;
    Ok(shell)
}

fn goes_on(shell: &mut Apart, since: Instant) -> Result<()> {
    shell.say(&format!("{PROGRAM}; echo $?"))?;
    let code = shell.hear_within(PROMISED.saturating_sub(since.elapsed()))?;
    same("an exec", code.as_deref(), Some("0"))?;
    println!("  an exec went on after {:?}", since.elapsed());
    Ok(())
}

/// Stops all threads of the agent, each of which may run on until it has its turn.
fn stop(agent: u32) -> Result<()> {
    let pid = i32::try_from(agent).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no pid")?, Signal::STOP)?;
    eventually("all threads are stopped", PROMISED, || {
        let threads = fs::read_dir(format!("/proc/{agent}/task"))?.flatten();
        let stats =
            threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        Ok(stats.into_iter().all(|stat| stat.contains(") T ")))
    })
}

/// The guardian ends it, and the kernel lets all go on.
pub fn agent_stopped() -> Result<()> {
    refusal()?;
    let mut scene = Scene::set("stopped", "deny", &cap(10))?;
    let mut shell = shell_at_its_cap(&scene)?;
    let since = Instant::now();
    stop(scene.guarded.agent.pid())?;
    goes_on(&mut shell, since)?;
    scene.guarded.agent.wait(PROMISED).map(drop)
}

pub fn agent_killed() -> Result<()> {
    refusal()?;
    let scene = Scene::set("gone", "deny", &cap(10))?;
    let mut shell = shell_at_its_cap(&scene)?;
    let since = Instant::now();
    scene.guarded.agent.kill()?;
    goes_on(&mut shell, since)
}

/// The guardian's pid: this agent's only child of that name.
fn guardian(agent: u32) -> Result<Option<Pid>> {
    for process in fs::read_dir("/proc")?.flatten() {
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else {
            continue;
        };
        let of_agent = format!("(guard-guardian) S {agent} ");
        if stat.contains(&of_agent) {
            let pid = stat.split(' ').next().and_then(|pid| pid.parse().ok());
            return Ok(pid.and_then(Pid::from_raw));
        }
    }
    Ok(None)
}

/// Another one takes its place, and watches.
pub fn guardian_killed() -> Result<()> {
    refusal()?;
    let mut scene = Scene::set("unwatched", "deny", &cap(10))?;
    let mut shell = shell_at_its_cap(&scene)?;
    let agent = scene.guarded.agent.pid();
    let first = guardian(agent)?.context("no guardian")?;
    kill_process(first, Signal::KILL)?;
    eventually("another guardian", SOON, || {
        Ok(guardian(agent)?.is_some_and(|pid| pid != first))
    })?;
    shell_is_asked(&scene)?;
    let since = Instant::now();
    stop(agent)?;
    goes_on(&mut shell, since)?;
    scene.guarded.agent.wait(PROMISED).map(drop)
}

fn shell_is_asked(scene: &Scene) -> Result<()> {
    eventually("its mounts are marked again", SOON, || {
        Ok(scene.guarded.status()?.gate.marked_mounts > 0)
    })
}

/// The rung below, chosen by the config.
pub fn kill_chosen() -> Result<()> {
    const CAP: u64 = 20;
    let scene = Scene::set("kill", "kill", &cap(CAP))?;
    let report = scene.storm(&["execs", "100", "--hold", "1000"])?;
    same("executed", report.executed, CAP - 1)?;
    let said = scene.guarded.agrees(&scene.witness)?;
    stopped_by(GateMode::Kill, &report, 101 - CAP, &said.counts, 101 - CAP)?;
    same("marked", scene.guarded.status()?.gate.marked_mounts, 0)?;
    scene.guarded.agent.stop_cleanly().map(drop)
}

/// Condemned processes that only sit there are ended after ten seconds, in every mode that has them,
/// also where they were moved out of the cgroup meanwhile.
pub fn idle_condemned() -> Result<()> {
    const CAP: u64 = 10;
    const MOVED: usize = 5;
    let scene = Scene::set("idle", "kill", &cap(CAP))?;
    let elsewhere = Cgroup::new("idle-elsewhere")?;
    let began = Instant::now();
    let storm = Storm::start(&scene.cgroup, &["sleepers", "30", "--hold", "30000"])?;
    let condemned = 31 - CAP;
    scene.guarded.until("condemned ones sit there", |said| {
        said.counts.condemned_now == condemned && said.counts.live == CAP
    })?;
    // Listed in the order of their birth: the last ones are over the cap.
    for pid in scene.cgroup.pids()?.into_iter().rev().take(MOVED) {
        elsewhere.take(pid)?;
    }
    same("moved", elsewhere.pids()?.len(), MOVED)?;
    let said = scene.guarded.until("they are ended", |said| {
        said.counts.condemned_now == 0 && said.counts.live == CAP
    })?;
    let took = began.elapsed();
    ensure!(
        (Duration::from_secs(9)..Duration::from_secs(14)).contains(&took),
        "ended after {took:?}"
    );
    same(
        "killed, denied",
        (said.counts.killed, said.counts.denied),
        (condemned, 0),
    )?;
    same("elsewhere", elsewhere.pids()?, Vec::new())?;
    scene.cgroup.kill()?;
    storm.killed()?;
    scene.guarded.agent.stop_cleanly().map(drop)
}

/// Condemned processes that work instead of executing something are ended long before that.
pub fn spinning_condemned() -> Result<()> {
    const CAP: u64 = 2;
    let scene = Scene::set("spin", "kill", &cap(CAP))?;
    let began = Instant::now();
    let storm = Storm::start(&scene.cgroup, &["spinners", "3", "--hold", "60000"])?;
    let said = scene
        .guarded
        .until("all that are over the cap are ended", |said| {
            said.counts.condemned == 2 && said.counts.condemned_now == 0
        })?;
    let took = began.elapsed();
    ensure!(
        took < Duration::from_secs(9),
        "only after {took:?}, as if they had done nothing"
    );
    same(
        "killed, live",
        (said.counts.killed, said.counts.live),
        (2, CAP),
    )?;
    scene.cgroup.kill()?;
    storm.killed()?;
    scene.guarded.agent.stop_cleanly().map(drop)
}
