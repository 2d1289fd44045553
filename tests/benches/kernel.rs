//! What the guard costs on this machine: `cargo xtask bench` runs it.
//!
//! Whatever is compared is measured in the same rounds, one after the other, so that what else the
//! machine does falls on both. Each figure is the median of its rounds, with the lowest and highest.

#[path = "kernel/adoption.rs"]
mod adoption;
#[path = "kernel/agent.rs"]
mod agent;
#[path = "kernel/bpftrace.rs"]
mod bpftrace;
#[path = "kernel/execs.rs"]
mod execs;
#[path = "kernel/forks.rs"]
mod forks;
#[path = "kernel/health.rs"]
mod health;
#[path = "kernel/programs.rs"]
mod programs;
#[path = "kernel/reaction.rs"]
mod reaction;
#[path = "kernel/refused.rs"]
mod refused;
#[path = "kernel/storm.rs"]
mod storm;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use guard_tests::bench::{Table, float};

const USAGE: &str = "usage: kernel [--rounds N] [--json] [PART…]";

/// A part of it, which takes one round's figures.
type Part = fn(&mut Table) -> Result<()>;

/// All parts, by the names that the command line has for them.
const PARTS: &[(&str, &str, Part)] = &[
    (
        "programs",
        "The kernel side, per process from its fork to its end",
        programs::round,
    ),
    ("forks", "A fork, for whoever forks", forks::round),
    (
        "execs",
        "Execs in mode deny: far from the limits, near them, and denied",
        execs::round,
    ),
    (
        "storm",
        "A storm against a cap, and records of what happens",
        storm::round,
    ),
    (
        "health",
        "A gateway's health check while 20 sessions of 3 servers leak",
        health::round,
    ),
    ("agent", "The agent", agent::round),
    (
        "adoption",
        "An agent's start, fresh and where another one's gate is",
        adoption::round,
    ),
    (
        "bpftrace",
        "The same counting by a bpftrace one-liner",
        bpftrace::round,
    ),
    (
        REFUSED,
        "A fork that is refused, by the memory of who forks",
        refused::round,
    ),
    (
        "reaction",
        "A storm of ten spawns a second, and what is done against it",
        reaction::round,
    ),
];

/// Needs a kernel with BPF LSM, so it runs only where it is named: in a virtual machine.
const REFUSED: &str = "refused";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn us(ns: u64) -> f64 {
    float(ns) / 1_000.0
}

fn run() -> Result<()> {
    let (mut rounds, mut json, mut wanted) = (5, false, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            // Cargo's own word to each bench.
            "--bench" => {}
            "--json" => json = true,
            "--rounds" => rounds = words.next().and_then(|n| n.parse().ok()).context(USAGE)?,
            name => wanted.push(name.to_owned()),
        }
    }
    let known = |name: &String| PARTS.iter().any(|(known, ..)| known == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let names: Vec<_> = PARTS.iter().map(|(name, ..)| *name).collect();
        anyhow::bail!(
            "no part is called {unknown}; there are: {}",
            names.join(", ")
        );
    }
    ensure!(rounds > 0, "{USAGE}");
    let mut all = serde_json::Map::new();
    for (name, about, round) in PARTS {
        let chosen = wanted.iter().any(|word| word == name);
        if !chosen && (!wanted.is_empty() || *name == REFUSED) {
            continue;
        }
        let mut table = Table::default();
        for number in 1..=rounds {
            eprintln!("bench: {name}, round {number} of {rounds}");
            round(&mut table).with_context(|| format!("{name}, round {number}"))?;
        }
        if json {
            all.insert((*name).to_owned(), table.json());
        } else {
            println!("\n{about}\n(median of {rounds} rounds, lowest to highest)\n");
            table.lines().iter().for_each(|line| println!("  {line}"));
        }
    }
    if json {
        println!("{}", serde_json::Value::Object(all));
    }
    Ok(())
}
