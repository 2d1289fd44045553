//! The agent itself: how soon it counts, what it costs while nothing happens and in a storm, and what it
//! loses in one.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use guard_tests::bench::{Table, float};
use guard_tests::guarded::{Guarded, ONLY, WIDE};
use guard_tests::{Cgroup, Storm, Witness};

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(20);
/// The budgets of the design.
pub const START_MS: f64 = 300.0;
const IDLE_PERCENT: f64 = 0.1;
pub const RSS_MB: f64 = 20.0;
pub const STORM_PERCENT: f64 = 5.0;

/// Why it misses what it misses.
pub const LATE: &str = "the kernel's verifier walks all programs before one is attached, half of the start (strace), \
                        and this kernel's BTF is read before that; both take longer beside other load";
pub const HEAVY: &str = "11 MB are its own program's pages (locked), 9 MB are maps that it shares with the kernel side \
                         (a ring buffer is mapped twice over, and counted so), and 7 MB its heap (smaps)";
const BUSY: &str = "the thread that answers execs beats four times a second so that its guardian sees it, the reader \
                    looks four times a second, and the status is made anew once a second";

/// One round.
pub fn round(table: &mut Table) -> Result<()> {
    let cgroup = Cgroup::new("bench-agent")?;
    let witness = Witness::watch(&cgroup)?;
    let began = Instant::now();
    let path = cgroup.path().display().to_string();
    let mut guarded = Guarded::begin(&path, WIDE, &[])?;
    guarded.hears(ONLY, "armed", &[])?;
    let ms = began.elapsed().as_secs_f64() * 1_000.0;
    table.add("start to counting", "ms", ms, Some(START_MS));
    table.because("start to counting", LATE);
    guarded.ready(ONLY)?;
    let pid = guarded.agent.pid();
    thread::sleep(Duration::from_secs(1));

    let (cpu, since) = (cpu_ns(pid)?, Instant::now());
    thread::sleep(IDLE);
    let idle = percent(cpu_ns(pid)?.saturating_sub(cpu), since.elapsed());
    table.add("idle, of one CPU", "%", idle, Some(IDLE_PERCENT));
    table.because("idle, of one CPU", BUSY);
    table.add("memory (RSS)", "MB", rss_mb(pid)?, Some(RSS_MB));
    table.because("memory (RSS)", HEAVY);

    let (cpu, since) = (cpu_ns(pid)?, Instant::now());
    let report = Storm::run(&cgroup, &["forks", "30000", "--parallel", "4"])?;
    let took = since.elapsed();
    let storm = percent(cpu_ns(pid)?.saturating_sub(cpu), took);
    let per_second = float(report.made) / took.as_secs_f64().max(0.001);
    table.add("storm, processes made per second", "", per_second, None);
    table.add("storm, agent of one CPU", "%", storm, Some(STORM_PERCENT));
    let counts = guarded.agrees(&witness)?.counts;
    let error = counts.spawns.abs_diff(witness.counts()?.spawns);
    table.add("storm, spawns counted wrong", "", float(error), Some(0.0));
    table.add("storm, records lost", "", float(counts.lost), Some(0.0));
    table.add(
        "storm, records left out by sampling",
        "",
        float(counts.sampled),
        None,
    );
    guarded.agent.stop_cleanly().map(drop)
}

/// CPU time of all threads that live, in ns.
pub fn cpu_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        // One that has just ended took next to nothing.
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let ns = text.split_whitespace().next();
        sum += ns.and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// Memory that is there, in MB.
pub fn rss_mb(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    Ok(float(kib.context("no VmRSS")?) / 1_024.0)
}

/// CPU time as a share of one CPU.
pub fn percent(cpu_ns: u64, of: Duration) -> f64 {
    float(cpu_ns) / of.as_secs_f64().max(0.001) / 10_000_000.0
}
