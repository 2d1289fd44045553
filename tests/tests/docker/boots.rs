//! Boots and crowds that are healthy, under the whole guard: nothing of them is refused, however long
//! they take, and nobody ends, whatever the count.
//!
//! *Cold* is a container that was made anew and has what was downloaded: npx has nothing installed and
//! resolves, unpacks and links each package, in a folder of its own for each server, from npm's cache;
//! no registry is asked. *Warm* is what npx installed in the image.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use guard_tests::check::same;
use guard_tests::docker::metamcp::{Layout, Server, Setup};
use serde_json::Value;

use crate::metamcp::{Stand, TREE};
use crate::profile::{SLOTS, guard_whole, holds, let_be, until, untouched};
use crate::scene::OnStage;
use crate::table;

/// Longer than 20 cold servers need on a part of one CPU. MetaMCP gives a server 60 s, guard or not;
/// here it waits, so that what is seen is the guard's part.
const LONG: Duration = Duration::from_secs(10 * 60);
/// Profile metamcp's own cap is what memory carries; this is what a machine of 24 GB has room for.
const CAP: u64 = 400;

/// One way to boot.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    pub servers: usize,
    pub cold: bool,
    /// `docker run --cpus 1`; else all there are.
    pub one_cpu: bool,
}

impl Boot {
    /// Each number of servers, warm and cold, on one CPU and on all.
    pub fn all() -> impl Iterator<Item = Self> {
        let each = [false, true].into_iter().flat_map(|cold| {
            [false, true]
                .into_iter()
                .flat_map(move |one_cpu| [3, 10, 20].map(|servers| (servers, cold, one_cpu)))
        });
        each.map(|(servers, cold, one_cpu)| Self {
            servers,
            cold,
            one_cpu,
        })
    }

    /// As a trial's name.
    pub fn name(self) -> String {
        let cold = if self.cold { "cold" } else { "warm" };
        let cpus = if self.one_cpu { "one_cpu" } else { "all_cpus" };
        format!("a_boot_of_{}_{cold}_servers_on_{cpus}", self.servers)
    }

    /// Boots, untouched.
    pub fn run(self) -> Result<()> {
        let mut stage = OnStage::enter()?;
        let stage = stage.get()?;
        let guard = guard_whole(stage, CAP, self.servers)?;
        let setup = Setup {
            servers: if self.cold {
                Server::cold(self.servers)
            } else {
                Server::npx(self.servers)
            },
            patience: LONG,
            options: if self.one_cpu { &["--cpus", "1"] } else { &[] },
            ..Setup::default()
        };
        let stand = Stand::start(stage, "metamcp", &setup)?;
        let asked = Instant::now();
        let state = stand.gateway.settled(LONG)?;
        let took = asked.elapsed();
        untouched(&guard, &state)?;
        let (own, trees) = (setup.layout.processes(), self.servers as u64);
        let counts = stand.lives("booted", own + TREE * trees)?;
        until(&guard, "counted", |target| {
            holds(target, own + TREE * trees, trees, own + SLOTS * trees)
        })?;
        let target = guard.target()?;
        same("excess", &target["excess"], &Value::from(0))?;
        same("the level", &target["level"], &Value::from("normal"))?;
        let_be(&guard)?;
        table::boot(format!(
            "| {} {} | {} | {:.0} s | {} | {} | {} MB |",
            self.servers,
            if self.cold { "cold" } else { "warm" },
            if self.one_cpu { "one" } else { "all" },
            took.as_secs_f64(),
            counts.live_peak,
            counts.spawns,
            stand.parent.memory_peak()? >> 20
        ));
        guard.agent.stop_cleanly().map(drop)
    }
}

/// Five sessions of ten npx servers, opened at once: 60 trees, 181 processes.
pub fn five_sessions() -> Result<()> {
    const SERVERS: usize = 10;
    const SESSIONS: u32 = 5;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let guard = guard_whole(stage, CAP, SERVERS)?;
    let setup = Setup {
        layout: Layout::Direct,
        servers: Server::npx(SERVERS),
        patience: LONG,
        ..Setup::default()
    };
    let stand = Stand::start(stage, "metamcp", &setup)?;
    untouched(&guard, &stand.gateway.settled(LONG)?)?;
    let report = stand.gateway.storm(SESSIONS, Duration::ZERO, LONG)?;
    same("served", report.first_with(SERVERS), SESSIONS as usize)?;
    untouched(&guard, &stand.gateway.settled(LONG)?)?;
    let trees = SERVERS as u64 * (u64::from(SESSIONS) + 1);
    let counts = stand.lives("all of them", 1 + TREE * trees)?;
    until(&guard, "counted", |target| {
        holds(target, 1 + TREE * trees, trees, 1 + SLOTS * trees)
    })?;
    let target = guard.target()?;
    ensure!(target["excess"] != 0, "more than is healthy: {target}");
    let_be(&guard)?;
    table::note(format!(
        "five sessions of ten npx servers at once: {} processes at most, {} MB; {report}",
        counts.live_peak,
        stand.parent.memory_peak()? >> 20
    ));
    guard.agent.stop_cleanly().map(drop)
}
