//! A gate before the fork that falls silent while the agent runs: `kernel.ftrace_enabled = 0` takes all
//! of BPF's trampolines out of the kernel's functions, whoever attached them, and says nothing. A link
//! of ours cannot be detached by somebody else: the kernel has no BPF_LINK_DETACH for its kind.

use std::fs;

use anyhow::{Context, Result, ensure};
use guard_common::GateMode;
use guard_tests::agent::PINS;
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, ONLY, SOON, Target, cap};
use guard_tests::raw::detach_link;
use guard_tests::suite::cannot_here;
use guard_tests::{Cgroup, Storm, Witness};

use crate::deny::as_refused;
use crate::scene::{expected, gauges, refuses};

const SWITCH: &str = "/proc/sys/kernel/ftrace_enabled";

/// Trampolines are taken out; dropped, they are put back.
struct Silence;

impl Silence {
    fn begin() -> Result<Self> {
        fs::write(SWITCH, "0").context(SWITCH)?;
        Ok(Self)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, "1");
    }
}

/// The next rung takes its place within a turn or two of the canary, and the better one comes back when it
/// holds again. A storm that goes on all the time meets the same cap, and every process is counted.
pub fn is_noticed() -> Result<()> {
    const CAP: u64 = 20;
    if !refuses()? {
        return Err(cannot_here(
            "no gate before the fork, that could fall silent",
        ));
    }
    if fs::read_to_string(SWITCH).is_err() {
        return Err(cannot_here("this kernel's functions cannot be silenced"));
    }
    let best = expected()?.name();
    let cgroup = Cgroup::new("silence")?;
    let witness = Witness::watch(&cgroup)?;
    let path = cgroup.path().display().to_string();
    let gate = format!("{}\ndeny_errno = \"any\"", cap(CAP));
    let target = Target {
        name: ONLY,
        path: &path,
        gate: &gate,
    };
    let head = "canary_every = \"1s\"";
    let mut guarded = Guarded::begin_all("info", head, &[target], &[])?;
    guarded.ready(ONLY)?;
    same("mode", guarded.only()?.mode.as_str(), best)?;

    let storm = ["execs", "200", "--hold", "1000", "--pace-us", "10000"];
    let storm = Storm::start(&cgroup, &storm)?;
    let silence = Silence::begin()?;
    let fallen = changed(&mut guarded, "from", best)?;
    ensure!(fallen != best, "it holds by {fallen}");
    let worse = [GateMode::Deny.name(), GateMode::Kill.name()];
    guarded.until("the next rung is in force", |said| {
        worse.contains(&said.mode.as_str())
    })?;
    let report = as_refused(storm.report()?)?;
    println!("  {best} fell silent: {fallen}, {report:?}");
    same("executed", report.executed, CAP - 1)?;
    same("stopped", report.refused + report.killed, 201 - CAP)?;
    let gate = guarded.status()?.gate;
    ensure!(
        gate.proved && gate.why.contains("it held until now"),
        "{gate:?}"
    );

    drop(silence);
    changed(&mut guarded, "to", best)?;
    guarded.until("it is back", |said| said.mode == best)?;
    let report = Storm::run(&cgroup, &["execs", "60", "--hold", "500"])?;
    same("executed", report.executed, CAP - 1)?;
    let stopped = (report.refused, report.killed, report.failed);
    same("refused, killed, failed", stopped, (61 - CAP, 0, 0))?;
    let said = guarded.agrees(&witness)?;
    same("gauges", gauges(&said), [0; 4])?;
    same("programs at once", witness.counts()?.running_peak, CAP)?;
    same("problems", guarded.status()?.problems, Vec::new())?;
    guarded.agent.stop_cleanly().map(drop)
}

/// Waits until the agent says that the gate works in another way; gives which.
fn changed(guarded: &mut Guarded, side: &str, mode: &str) -> Result<String> {
    let event = guarded.agent.wait_for("gate_changed", SOON, |line| {
        line.get(side).is_some_and(|named| named == mode)
    })?;
    let to = event.get("to").and_then(|to| to.as_str());
    to.map(str::to_owned).context("it does not say which")
}

/// The switch was used while a gate was attached, and one that is attached later holds: the kernel was left
/// nothing that it would take for damage (6.1 and 6.12 refused every trampoline until the next boot). Where
/// it does refuse one, the agent says so, and the next rung holds.
pub fn harms_no_later_agent() -> Result<()> {
    const CAP: u64 = 20;
    if !refuses()? {
        return Err(cannot_here(
            "no gate before the fork, that could fall silent",
        ));
    }
    let best = expected()?.name();
    let cgroup = Cgroup::new("later")?;
    let guarded = Guarded::start(&cgroup, &cap(CAP), &[])?;
    let gate = guarded.status()?.gate;
    same("the gate's mode", gate.mode.as_str(), best).with_context(|| gate.why.clone())?;
    ensure!(gate.proved, "{gate:?}");
    let report = Storm::run(&cgroup, &["execs", "60", "--hold", "500"])?;
    same("executed", report.executed, CAP - 1)?;
    same("refused", report.refused, 61 - CAP)?;
    guarded.agent.stop_cleanly().map(drop)
}

/// Each link of a gate that is kept is tried from outside, and the kernel refuses each time.
pub fn is_nobodys_to_detach() -> Result<()> {
    const CAP: u64 = 10;
    let cgroup = Cgroup::new("links")?;
    let path = cgroup.path().display().to_string();
    let gate = cap(CAP);
    let target = Target {
        name: ONLY,
        path: &path,
        gate: &gate,
    };
    let head = "on_agent_exit = \"keep\"";
    let mut guarded = Guarded::begin_all("info", head, &[target], &[])?;
    guarded.ready(ONLY)?;
    let mut tried = 0;
    for pin in fs::read_dir(PINS)?.flatten().map(|entry| entry.path()) {
        let name = pin.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("link_") {
            continue;
        }
        let detached = detach_link(&pin);
        let errno = detached
            .as_ref()
            .err()
            .and_then(std::io::Error::raw_os_error);
        ensure!(errno == Some(libc::EOPNOTSUPP), "{name}: {detached:?}");
        tried += 1;
    }
    // Those that count, and what refuses before the fork.
    let least = if refuses()? { 9 } else { 7 };
    ensure!(tried >= least, "{tried} links");
    let report = as_refused(Storm::run(&cgroup, &["execs", "40", "--hold", "300"])?)?;
    same("executed", report.executed, CAP - 1)?;
    guarded.agent.stop_cleanly().map(drop)
}
