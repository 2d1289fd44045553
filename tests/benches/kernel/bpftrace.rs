//! The same counting by a bpftrace one-liner, beside the guard: what it costs, and what it counts.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use guard_tests::Cgroup;
use guard_tests::bench::{Spent, Table, float, times};
use guard_tests::guarded::{Guarded, WIDE};
use guard_userspace::kernel::stats::Timed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Forks of one figure.
const FORKS: u64 = 5_000;
/// What a fork and an end run, once each.
const LIFE: [&str; 3] = ["task_newtask", "sched_process_fork", "sched_process_exit"];
/// Longest for bpftrace to come up, and to say what it counted.
const PATIENCE: Duration = Duration::from_secs(20);

/// One round: without anything, under bpftrace, under the guard.
pub fn round(table: &mut Table) -> Result<()> {
    let outside = Cgroup::new("bench-outside")?;
    let inside = Cgroup::new("bench-inside")?;
    p50(table, "nothing attached", &inside)?;
    match Traced::start(&inside) {
        Ok(traced) => theirs(table, traced, &outside, &inside)?,
        // Where the machine refuses it, that is the figure.
        Err(why) => table.note(format!("bpftrace could not be measured: {why:#}")),
    }
    let guarded = Guarded::start(&inside, WIDE, &[])?;
    p50(table, "guard, not watched", &outside)?;
    p50(table, "guard, watched", &inside)?;
    let _timed = Timed::start().context("this kernel does not time its programs")?;
    for (what, cgroup) in [("not watched", &outside), ("watched", &inside)] {
        let before = Spent::by(&guarded.status()?);
        forks(cgroup)?;
        let ns = Spent::by(&guarded.status()?).since(&before, &LIFE)?;
        table.add(&format!("guard, {what}, in its programs"), "ns", ns, None);
    }
    let counted = guarded.only()?.counts.spawns;
    wrong(table, "guard", counted);
    guarded.agent.stop_cleanly().map(drop)
}

fn theirs(table: &mut Table, traced: Traced, outside: &Cgroup, inside: &Cgroup) -> Result<()> {
    p50(table, "bpftrace, not watched", outside)?;
    p50(table, "bpftrace, watched", inside)?;
    let _timed = Timed::start().context("this kernel does not time its programs")?;
    for (what, cgroup) in [("not watched", outside), ("watched", inside)] {
        let before = traced.spent()?;
        forks(cgroup)?;
        let after = traced.spent()?;
        let ns = float(after.saturating_sub(before)) / float(FORKS);
        table.add(
            &format!("bpftrace, {what}, in its programs"),
            "ns",
            ns,
            None,
        );
    }
    let counted = traced.ends()?;
    table.note("To bpftrace a thread is a fork too; it holds nobody to a limit, and no process to its target.".to_owned());
    wrong(table, "bpftrace", counted);
    Ok(())
}

fn forks(cgroup: &Cgroup) -> Result<u64> {
    let times = times(Some(cgroup), &["forks", &FORKS.to_string()])?;
    ensure!(times.failed.is_empty(), "{times:?}");
    Ok(times.p50)
}

fn p50(table: &mut Table, what: &str, cgroup: &Cgroup) -> Result<()> {
    let us = crate::us(forks(cgroup)?);
    table.add(&format!("fork, end and wait, {what}, p50"), "µs", us, None);
    Ok(())
}

/// Two runs' forks are what there was to count.
fn wrong(table: &mut Table, who: &str, counted: u64) {
    let wrong = float(counted.abs_diff(2 * FORKS));
    table.add(&format!("{who}, processes counted wrong"), "", wrong, None);
}

/// bpftrace at work. Dropped, it is killed.
struct Traced {
    child: Child,
    said: Receiver<Value>,
    programs: BTreeSet<u32>,
}

impl Traced {
    /// Starts it and waits until it has attached.
    fn start(cgroup: &Cgroup) -> Result<Self> {
        let id = cgroup.id()?;
        let count = |event: &str, name: &str| {
            format!(
                "tracepoint:sched:sched_process_{event} /cgroup == {id}/ {{ @{name} = count(); }}\n"
            )
        };
        let script = [("fork", "spawns"), ("exec", "execs"), ("exit", "exits")]
            .map(|(event, name)| count(event, name));
        let before = programs()?;
        let mut child = Command::new("bpftrace")
            .args(["-f", "json", "-e", &script.concat()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start bpftrace: apt-get install bpftrace")?;
        let out = child.stdout.take().context("no pipe from bpftrace")?;
        let (tell, said) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines
                .filter_map(|line| serde_json::from_str(&line).ok())
                .try_for_each(|line: Value| tell.send(line))
        });
        let mut traced = Self {
            child,
            said,
            programs: BTreeSet::new(),
        };
        while traced.said.recv_timeout(PATIENCE).is_ok() {
            // It says so before it has.
            thread::sleep(Duration::from_secs(1));
            let new: BTreeSet<_> = programs()?.difference(&before).copied().collect();
            if !new.is_empty() {
                traced.programs = new;
                return Ok(traced);
            }
        }
        let _ended = traced.child.kill();
        let mut words = String::new();
        if let Some(mut errors) = traced.child.stderr.take() {
            std::io::Read::read_to_string(&mut errors, &mut words)?;
        }
        bail!("it attached nothing: {}", words.trim())
    }

    /// ns in its programs so far.
    fn spent(&self) -> Result<u64> {
        let mut sum = 0;
        for program in aya::programs::loaded_programs() {
            let program = program?;
            if self.programs.contains(&program.id()) {
                sum += u64::try_from(program.run_time().as_nanos())?;
            }
        }
        Ok(sum)
    }

    /// Ends it; gives the spawns that it counted.
    fn ends(self) -> Result<u64> {
        kill_process(Pid::from_child(&self.child), Signal::INT).context("SIGINT to bpftrace")?;
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            if let Some(spawns) = line.pointer("/data/@spawns").and_then(Value::as_u64) {
                return Ok(spawns);
            }
        }
        bail!("bpftrace ended without its counts")
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn programs() -> Result<BTreeSet<u32>> {
    let all = aya::programs::loaded_programs();
    all.map(|program| Ok(program?.id())).collect()
}
