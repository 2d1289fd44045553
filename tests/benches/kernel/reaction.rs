//! How soon a storm is contained, beside the other ways to do it: the same storm of ten spawns a second,
//! a threshold of thirty processes.
//!
//! The peak and the time over the threshold are read from the witness, never from a listing.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::bench::{Table, float, times};
use guard_tests::guarded::{Guarded, cap};
use guard_tests::pids::PidsMax;
use guard_tests::{Cgroup, Storm, Witness};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The protocol's nuclear monitor acts from here on.
const THRESHOLD: u64 = 30;
/// Ten a second for 25 s: the protocol's monitor looks twice meanwhile.
const STORM: [&str; 6] = ["execs", "250", "--pace-us", "100000", "--hold", "1000"];
/// How often the witness is asked.
const LOOK: Duration = Duration::from_millis(1);
/// Spawns of the time to a signal.
const SPAWNS: &str = "500";
/// From the fork that crosses the cap to its SIGKILL, in a storm on all CPUs.
const SIGNAL_US: f64 = 1_000.0;

/// What is done against a storm, until the flag is set; gives how many processes it ended.
type Against<'a> = &'a (dyn Fn(&AtomicBool) -> Result<u64> + Sync);

/// One round of all of them.
pub fn round(table: &mut Table) -> Result<()> {
    let none: Against<'_> = &|_| Ok(0);
    {
        let cgroup = Cgroup::new("bench-free")?;
        measure(table, "nothing", &cgroup, &[], none)?;
    }
    {
        let cgroup = Cgroup::new("bench-guard")?;
        let guarded = Guarded::start(&cgroup, &cap(THRESHOLD), &[])?;
        measure(table, "the guard", &cgroup, &[], none)?;
        guarded.agent.stop_cleanly()?;
    }
    {
        let cgroup = Cgroup::new("bench-pids")?;
        let pids = PidsMax::set(&cgroup, THRESHOLD)?;
        measure(table, "pids_limit", &cgroup, &pids.arguments(), none)?;
    }
    for (what, every, ends) in [
        (
            "the protocol's monitor, 10 s",
            Duration::from_secs(10),
            Ends::All,
        ),
        ("polling, 100 ms", Duration::from_millis(100), Ends::Oldest),
    ] {
        let cgroup = Cgroup::new("bench-poll")?;
        let dir = cgroup.path().to_owned();
        measure(table, what, &cgroup, &[], &|over| {
            polled(&dir, every, ends, over)
        })?;
    }
    {
        let cgroup = Cgroup::new("bench-kill")?;
        let pids = PidsMax::set(&cgroup, THRESHOLD)?;
        let arguments = pids.arguments();
        let events = arguments.last().map_or_else(
            || cgroup.path().join("pids.events"),
            |path| Path::new(path).join("pids.events"),
        );
        let dir = cgroup.path().to_owned();
        measure(
            table,
            "cgroup.kill at pids.events",
            &cgroup,
            &arguments,
            &|over| on_event(&events, &dir, over),
        )?;
    }
    signal(table)
}

/// From a spawn over the cap to the death of its process by SIGKILL, as its parent sees it.
fn signal(table: &mut Table) -> Result<()> {
    let cgroup = Cgroup::new("bench-signal")?;
    let gate = format!("{}\nmodes = [\"kill\"]", cap(1));
    let guarded = Guarded::start(&cgroup, &gate, &[])?;
    for (what, threads) in [("idle", "1"), ("on all CPUs", "4")] {
        let killed = times(Some(&cgroup), &["killed", SPAWNS, threads])?;
        let all: usize = killed.failed.values().sum();
        ensure!(all == killed.n, "not all were killed: {killed:?}");
        for (quantile, ns) in [("p50", killed.p50), ("p99", killed.p99)] {
            let budget = (quantile == "p99" && threads == "4").then_some(SIGNAL_US);
            let what =
                format!("spawn over the cap → SIGKILL seen by its parent, {what}, {quantile}");
            table.add(&what, "µs", crate::us(ns), budget);
        }
    }
    guarded.agent.stop_cleanly().map(drop)
}

fn measure(
    table: &mut Table,
    what: &str,
    cgroup: &Cgroup,
    arguments: &[String],
    against: Against<'_>,
) -> Result<()> {
    let witness = Witness::watch(cgroup)?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).chain(STORM).collect();
    let mut storm = Storm::start(cgroup, &words)?;
    let (over, first, last) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let since = Instant::now();
    let us = || u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
    let ended = thread::scope(|scope| -> Result<u64> {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                if witness
                    .counts()
                    .is_ok_and(|counts| counts.running > THRESHOLD)
                {
                    let now = us();
                    let _ = first.compare_exchange(0, now, Relaxed, Relaxed);
                    last.store(now, Relaxed);
                }
                thread::sleep(LOOK);
            }
        });
        let acting = scope.spawn(|| against(&over));
        // Its end, by itself or by whoever acts.
        let heard = storm.hear_all();
        over.store(true, Relaxed);
        heard?;
        let ended = acting.join();
        ended.map_err(|_| anyhow::anyhow!("{what} panicked"))?
    })?;
    let counts = witness.counts()?;
    let over_ms = float(last.load(Relaxed).saturating_sub(first.load(Relaxed))) / 1_000.0;
    let guard = (what == "the guard").then_some(float(THRESHOLD));
    table.add(
        &format!("{what}: programs at most"),
        "",
        float(counts.running_peak),
        guard,
    );
    table.add(
        &format!("{what}: from the first moment over {THRESHOLD} to the last"),
        "ms",
        over_ms,
        guard.map(|_| 0.0),
    );
    table.add(&format!("{what}: processes ended"), "", float(ended), None);
    Ok(())
}

/// Whom a monitor ends when it finds too many.
#[derive(Clone, Copy)]
enum Ends {
    /// All, as `pkill -9`: but for the storm's first, which stands for the gateway.
    All,
    /// The oldest, until there are no more than may be.
    Oldest,
}

/// Looks so often, as a script does.
fn polled(dir: &Path, every: Duration, ends: Ends, over: &AtomicBool) -> Result<u64> {
    let mut ended = 0;
    while !over.load(Relaxed) {
        wait(every, over);
        let pids = pids(dir)?;
        let threshold = usize::try_from(THRESHOLD)?;
        if pids.len() <= threshold {
            continue;
        }
        let most = match ends {
            Ends::All => pids.len(),
            Ends::Oldest => pids.len() - threshold,
        };
        // cgroup.procs has them in the order of their pids; the first is the storm.
        for pid in pids.into_iter().skip(1).take(most) {
            ended += u64::from(kill(pid));
        }
    }
    Ok(ended)
}

fn on_event(events: &Path, dir: &Path, over: &AtomicBool) -> Result<u64> {
    let file = fs::File::open(events).with_context(|| events.display().to_string())?;
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    while !over.load(Relaxed) {
        // It must be read before each wait (kernfs_fop_poll, fs/kernfs/file.c).
        let said = fs::read_to_string(events)?;
        let met = said
            .split_whitespace()
            .last()
            .is_some_and(|number| number != "0");
        if met {
            let all = pids(dir)?.len();
            fs::write(dir.join("cgroup.kill"), "1")?;
            return Ok(u64::try_from(all)?);
        }
        poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&limit))?;
    }
    Ok(0)
}

/// Its processes, lowest pid first.
fn pids(dir: &Path) -> Result<Vec<u32>> {
    let text = fs::read_to_string(dir.join("cgroup.procs"))?;
    let mut pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Of the storm's own cgroup, which nobody else is in.
fn kill(pid: u32) -> bool {
    let named = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(Ok(fd)) = named.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return false;
    };
    pidfd_send_signal(&fd, Signal::KILL).is_ok()
}

fn wait(limit: Duration, over: &AtomicBool) {
    let until = Instant::now() + limit;
    while Instant::now() < until && !over.load(Relaxed) {
        thread::sleep(Duration::from_millis(10).min(limit));
    }
}
