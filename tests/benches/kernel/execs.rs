//! An exec in mode `deny`: what it pays far from the limits, near them, and where it is denied.

use anyhow::{Result, ensure};
use guard_tests::Cgroup;
use guard_tests::bench::{Table, Times, times};
use guard_tests::guarded::{Guarded, Target};
use rustix::io::Errno;

/// Spawns of one figure.
const SPAWNS: &str = "1000";
/// Threads of a storm: more than this machine has CPUs.
const THREADS: &str = "8";
/// From an exec's question being read to its answer, in a storm on all CPUs.
const ANSWERED_US: f64 = 200.0;
/// What is away from its limits pays for no question: as much as rounds differ from each other.
const NOTHING: f64 = 1.1;

const COUNTED: &str =
    "it is counted all the same, and its records are read by an agent on the same CPUs";
const COARSE: &str = "it is known within a factor of two (powers of two), and beside eight threads that spawn on two \
                      CPUs the kernel side's answer comes from a thread that shares them";

/// One round: without a guard, then under one agent with three targets.
pub fn round(table: &mut Table) -> Result<()> {
    let free = Cgroup::new("bench-free")?;
    let unguarded = times(Some(&free), &["spawns", SPAWNS])?;
    spawned(table, "no guard", &unguarded)?;

    let cgroups = [
        ("far", "max_processes = 10000", Cgroup::new("bench-far")?),
        ("near", "max_processes = 30", Cgroup::new("bench-near")?),
        ("full", "max_processes = 1", Cgroup::new("bench-full")?),
    ];
    let gate = |cap: &str| {
        format!("{cap}\nspawn_rate = 1000000\nspawn_burst = 1000000\nmodes = [\"deny\", \"kill\"]")
    };
    let gates = cgroups.each_ref().map(|(_, cap, _)| gate(cap));
    let paths = cgroups
        .each_ref()
        .map(|(.., cgroup)| cgroup.path().display().to_string());
    let targets: Vec<_> = cgroups
        .iter()
        .zip(gates.iter().zip(&paths))
        .map(|((name, ..), (gate, path))| Target { name, path, gate })
        .collect();
    let mut guarded = Guarded::begin_all("info", "", &targets, &[])?;
    let [(_, _, far), (_, _, near), (_, _, full)] = &cgroups;
    for (name, ..) in &cgroups {
        guarded.ready(name)?;
        let mode = guarded.target(name)?.mode;
        ensure!(
            mode == "deny",
            "this machine cannot deny execs: {name} has the mode {mode}"
        );
    }

    let away = times(Some(far), &["spawns", SPAWNS])?;
    spawned(table, "far from the limits", &away)?;
    spawned(table, "near them", &times(Some(near), &["spawns", SPAWNS])?)?;
    let denied = times(Some(full), &["spawns", SPAWNS])?;
    refused(&denied)?;
    quantiles(table, "denied", &denied);
    refused(&times(Some(full), &["spawns", SPAWNS, THREADS])?)?;

    let answers = guarded.status()?.gate.answers;
    ensure!(answers.denied > 0, "nothing was denied: {answers:?}");
    let ratio = crate::us(away.p50) / crate::us(unguarded.p50);
    table.add("spawn, p50, far : no guard", "x", ratio, Some(NOTHING));
    table.because("spawn, p50, far : no guard", COUNTED);
    table.add(
        "question read to answered, p50 below",
        "µs",
        crate::us(answers.p50_ns),
        None,
    );
    let p99 = crate::us(answers.p99_ns);
    table.add(
        "question read to answered, p99 below",
        "µs",
        p99,
        Some(ANSWERED_US),
    );
    table.because("question read to answered, p99 below", COARSE);
    guarded.agent.stop_cleanly().map(drop)
}

fn spawned(table: &mut Table, what: &str, times: &Times) -> Result<()> {
    ensure!(times.failed.is_empty(), "{what}: {times:?}");
    quantiles(table, what, times);
    Ok(())
}

/// All of them.
fn refused(times: &Times) -> Result<()> {
    let errnos = [Errno::AGAIN, Errno::PERM].map(Errno::raw_os_error);
    let denied: usize = errnos
        .iter()
        .filter_map(|errno| times.failed.get(errno))
        .sum();
    ensure!(
        denied == times.n,
        "{denied} of {} were denied: {times:?}",
        times.n
    );
    Ok(())
}

fn quantiles(table: &mut Table, what: &str, times: &Times) {
    table.add(
        &format!("spawn, {what}, p50"),
        "µs",
        crate::us(times.p50),
        None,
    );
    table.add(
        &format!("spawn, {what}, p99"),
        "µs",
        crate::us(times.p99),
        None,
    );
}
