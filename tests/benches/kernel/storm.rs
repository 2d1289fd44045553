//! A storm against a cap: who is let through, who is refused, what is lost, what the agent takes meanwhile;
//! and how much can happen in a second before records of it are left out.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use guard_tests::bench::{Table, float, times};
use guard_tests::guarded::{Guarded, WIDE, cap};
use guard_tests::{Cgroup, Storm, Witness};

use crate::agent::{HEAVY, RSS_MB, STORM_PERCENT, cpu_ns, percent, rss_mb};

const CAP: u64 = 20;
/// Spawns of a program that all stay.
const CROWD: [&str; 4] = ["execs", "1000", "--hold", "300"];
/// Processes that all fork, whatever becomes of it.
const BOMB: [&str; 8] = [
    "bomb",
    "10",
    "--seconds",
    "10",
    "--attempts",
    "10000",
    "--hold",
    "300",
];
/// Forks a second, each of which is two records: a spawn and an exit.
const RATES: [u64; 8] = [250, 500, 700, 850, 950, 1_100, 1_400, 10_000];
/// Threads that share them: one alone loses its turn where others run.
const THREADS: &str = "4";
const ABREAST: u64 = 4;
/// How long each rate lasts.
const LASTS: Duration = Duration::from_millis(2_500);

const ASKED: &str = "in mode deny each refused exec is a question that it answers, and near the limits it looks for \
                     mounts of whoever spawns: both are bought by refusing what no LSM refuses";

/// One round.
pub fn round(table: &mut Table) -> Result<()> {
    pressed(table)?;
    records(table)
}

/// Both storms against the cap, one after the other.
fn pressed(table: &mut Table) -> Result<()> {
    let cgroup = Cgroup::new("bench-storm")?;
    let witness = Witness::watch(&cgroup)?;
    let guarded = Guarded::start(&cgroup, &cap(CAP), &[])?;
    let pid = guarded.agent.pid();
    let (cpu, since) = (cpu_ns(pid)?, Instant::now());
    let crowd = Storm::run(&cgroup, &CROWD)?;
    let bomb = Storm::run(&cgroup, &BOMB)?;
    let took = since.elapsed();
    let busy = percent(cpu_ns(pid)?.saturating_sub(cpu), took);
    let said = guarded.agrees(&witness)?;
    let (counts, seen) = (said.counts, witness.counts()?);
    let asked = crowd.tried + bomb.tried;
    ensure!(
        counts.denied + counts.condemned > 0,
        "nothing pressed: {counts:?}"
    );
    table.note(format!(
        "The mode of this machine's gate is {}, the cap {CAP}.",
        said.mode
    ));
    table.add("spawns asked for", "", float(asked), None);
    table.add(
        "let through",
        "",
        float(counts.spawns.saturating_sub(counts.condemned)),
        None,
    );
    // Who is condemned and whose exec is denied then is one of both.
    let refused = counts.condemned.max(counts.denied);
    table.add("refused: denied or condemned", "", float(refused), None);
    let over = seen.running_peak.saturating_sub(CAP);
    table.add("programs over the cap at once", "", float(over), Some(0.0));
    let wrong = counts.spawns.abs_diff(seen.spawns) + counts.exits.abs_diff(seen.exits);
    table.add(
        "spawns and exits counted wrong",
        "",
        float(wrong),
        Some(0.0),
    );
    table.add("records lost", "", float(counts.lost), Some(0.0));
    table.add("the agent, of one CPU", "%", busy, Some(STORM_PERCENT));
    table.add(
        "its memory (RSS) afterwards",
        "MB",
        rss_mb(pid)?,
        Some(RSS_MB),
    );
    table.because("the agent, of one CPU", ASKED);
    table.because("its memory (RSS) afterwards", HEAVY);
    guarded.agent.stop_cleanly().map(drop)
}

/// Forks at one rate after the other, until records are left out.
fn records(table: &mut Table) -> Result<()> {
    let cgroup = Cgroup::new("bench-records")?;
    let guarded = Guarded::start(&cgroup, WIDE, &[])?;
    // The highest rate that left nothing out; beside other load a rate is not always reached.
    let (mut all, mut some) = (0.0_f64, None);
    for rate in RATES {
        let forks = rate * u64::try_from(LASTS.as_millis())? / 1_000;
        let before = guarded.only()?.counts;
        let pace = (ABREAST * 1_000_000 / rate).to_string();
        let settle = Duration::from_millis(500);
        let began = Instant::now();
        let forks = forks.to_string();
        times(
            Some(&cgroup),
            &["--pace-us", &pace, "forks", &forks, THREADS],
        )?;
        let took = began.elapsed().saturating_sub(settle).as_secs_f64();
        // A second's sample is over.
        thread::sleep(Duration::from_millis(1_200));
        let after = guarded.only()?.counts;
        let events = (after.spawns - before.spawns) + (after.exits - before.exits);
        let per_second = float(events) / took.max(0.001);
        if after.sampled > before.sampled {
            some = Some(per_second);
            break;
        }
        all = all.max(per_second);
    }
    table.add("records per second and target, all written", "", all, None);
    if let Some(some) = some {
        let what = "records per second and target, some left out";
        table.add(what, "", some, None);
    }
    guarded.agent.stop_cleanly().map(drop)
}
