//! What it costs: printed, and not judged, since a machine that others use measures them too.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use guard_tests::Apart;

use crate::docket::Guard;

/// What makes of this program a spawner.
const ARGUMENT: &str = "--as-spawner";

/// Spawns of one measurement.
const SPAWNS: usize = 400;

/// Runs as a spawner if the command line says so.
pub fn as_spawner() -> Option<ExitCode> {
    (std::env::args().nth(1)? == ARGUMENT).then(|| {
        let _ = spawner();
        ExitCode::SUCCESS
    })
}

/// At each line it spawns, from as many threads as the line says, and says what a spawn took.
fn spawner() -> Result<()> {
    println!("up");
    for line in std::io::stdin().lines() {
        let threads: usize = line?.parse()?;
        let one = move || {
            (0..SPAWNS / threads)
                .map(|_| spawn())
                .collect::<Result<Vec<_>>>()
        };
        let all: Vec<_> = (0..threads).map(|_| std::thread::spawn(one)).collect();
        let mut took = Vec::new();
        for thread in all {
            took.extend(thread.join().ok().context("a thread panicked")??);
        }
        took.sort_unstable();
        let at = |share: usize| {
            took.get(took.len() * share / 1_000)
                .copied()
                .unwrap_or_default()
        };
        println!("spawn p50 {:?} p99 {:?}", at(500), at(990));
    }
    Ok(())
}

/// Until the exec has succeeded: posix_spawn returns then.
fn spawn() -> Result<Duration> {
    let since = Instant::now();
    let mut child = Command::new("/bin/true").spawn()?;
    let took = since.elapsed();
    child.wait()?;
    Ok(took)
}

pub fn printed() -> Result<()> {
    let guard = Guard::start()?;
    let me = std::env::current_exe()?;
    let mut apart = Apart::program(&[me.to_str().context("UTF-8")?, ARGUMENT])?;
    apart.hear()?;
    for threads in [1, 8] {
        guard.cover_all(&[])?;
        apart.say(&threads.to_string())?;
        println!("  {threads} threads, unmarked: {}", apart.hear()?);
        let since = Instant::now();
        let covered = guard.cover(&apart)?;
        let took = since.elapsed();
        apart.say(&threads.to_string())?;
        println!("  {threads} threads, marked:   {}", apart.hear()?);
        println!(
            "  {} mounts marked in {took:?}: {covered:?}",
            covered.mounts
        );
    }
    let crowd = [apart.pid(); 400].map(|pid| (0, pid));
    let since = Instant::now();
    guard.cover_all(&crowd)?;
    println!("  a round with 400 members: {:?}", since.elapsed());
    let counts = guard.deny.counts();
    println!(
        "  {} questions, read to answered: p50 < {} ns, p99 < {} ns, longest {} ns",
        counts.asked,
        counts.per_mille(500),
        counts.per_mille(990),
        counts.longest_ns
    );
    Ok(())
}
