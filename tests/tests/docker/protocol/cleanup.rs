//! Leaked sessions: their trees are ended as gently as can be, and the gateway counts no crash.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::{Layout, Setup};
use serde_json::Value;

use super::after::{After, Spine};
use super::births::Births;
use super::{CRITICAL, Neighbour, Rules, SETTLE, booted, decided, leak, leave, servers, serves};
use crate::metamcp::{BOOT, PATIENCE};
use crate::profile::{RESERVE, until};
use crate::scene::{OnStage, SOON};
use crate::table;

/// Duplicates of three servers, three processes a second until there are thirty, idle, without pressure: the
/// level rises to emergency, trees beyond what is allowed are retired, none of them the youngest of its
/// family or still starting, nobody takes a signal, no server is in ERROR, each family keeps its youngest,
/// and the level falls below critical. When the clients go it is over.
pub fn duplicates() -> Result<()> {
    const SERVERS: usize = 3;
    const SESSIONS: u64 = 10;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let neighbour = Neighbour::start(stage)?;
    let rules = Rules {
        times: "clear_after = \"1s\"",
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let stand = booted(stage, &servers(SERVERS))?;
    let gateway = &stand.gateway;
    let spine = Spine::of(&guard, &stand)?;
    let own = servers(SERVERS).layout.processes();
    let idle = gateway.state()?;
    let births = Births::default();
    let sessions = births.noted(&guard, || leak(gateway, SESSIONS, SERVERS))?;
    let newest: Vec<u32> = gateway
        .settled(BOOT)?
        .with_role("idle")
        .map(|one| one.pid)
        .collect();
    ensure!(
        idle.with_role("idle").all(|one| !newest.contains(&one.pid)),
        "{newest:?}"
    );
    let ended = Instant::now();
    // What was not idle yet when the others were ended may be left: a warning is for people.
    let calm = |target: &Value| {
        let level = target["level"].as_str();
        matches!(level, Some("normal" | "warning")) && target["retired"] != 0
    };
    let target = until(&guard, "the level is below critical", calm)?;
    ensure!(
        target["excess"]
            .as_u64()
            .is_some_and(|excess| excess < CRITICAL),
        "{target}"
    );
    let took = ended.elapsed();

    let state = gateway.settled(BOOT)?;
    state.ensure_no_error()?;
    let left: Vec<u32> = state.with_role("idle").map(|one| one.pid).collect();
    same("the youngest of each family", left, newest)?;
    let target = guard.target()?;
    ensure!(target["counts"]["killed"] == 0, "{target}");
    let retired = target["retired"].as_u64().unwrap_or_default();
    ensure!(retired > 0, "{target}");
    let decisions = decided(&guard, "end").len() + decided(&guard, "force").len();
    ensure!(
        decisions as u64 >= retired,
        "{decisions} decisions, {retired} retired"
    );
    let what = decided(&guard, "end")
        .first()
        .map(|line| line["what"].to_string());
    ensure!(
        what.as_deref()
            .is_none_or(|what| what.contains("idle for") && what.contains("it costs")),
        "a decision without evidence and cost: {what:?}"
    );
    births.ensure_grown_and_not_youngest(&guard, SETTLE)?;
    let counts = stand.witness.counts()?;
    ensure!(counts.live >= own + SERVERS as u64, "{counts:?}");
    leave(gateway, &sessions)?;
    serves(gateway, SERVERS)?;
    gateway.settled(BOOT)?.ensure_no_error()?;
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: Some(&neighbour),
        did: &["end"],
        calm: true,
    }
    .ensure()?;
    table::note(format!(
        "{SESSIONS} leaked sessions of {SERVERS} servers: {} at most, {retired} trees retired, calm again after {took:.1?}",
        counts.live_peak
    ));
    guard.agent.stop_cleanly().map(drop)
}

/// At the cap a client is refused, leaked trees are retired, and the client is served at its next list.
pub fn at_the_cap() -> Result<()> {
    let idle = "calm = \"1h\", pressure = \"4s\", lasting = \"2s\"";
    refused_and_served(Layout::Entrypoint, 10, idle)
}

/// The same where CPUs are emulated: a node takes seconds to begin.
pub fn at_the_cap_in_a_machine() -> Result<()> {
    let idle = "calm = \"1h\", pressure = \"8s\", lasting = \"4s\"";
    refused_and_served(Layout::Init, 4, idle)
}

fn refused_and_served(layout: Layout, trees: u64, idle: &'static str) -> Result<()> {
    const SERVERS: usize = 2;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let setup = Setup {
        layout,
        ..servers(SERVERS)
    };
    // Nothing is reserved beyond a tree's one process, so that room comes by trees that end alone.
    let cap = RESERVE + setup.layout.processes() + trees;
    let rules = Rules {
        cap,
        slots: 1,
        allowed: 1,
        idle,
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let stand = booted(stage, &setup)?;
    let gateway = &stand.gateway;
    let spine = Spine::of(&guard, &stand)?;
    let mut refused = None;
    for _ in 0..12 {
        let session = gateway.open()?;
        let answer = gateway.list(&session, PATIENCE);
        ensure!(answer.error.is_none() && answer.took < SOON, "{answer}");
        if answer.servers.len() < SERVERS {
            refused = Some((session, Instant::now()));
            break;
        }
        gateway.settled(BOOT)?;
    }
    let (session, since) = refused.context("nobody was refused")?;
    let mut answer = None;
    eventually(
        "the refused client is served at its next list",
        SOON,
        || {
            let again = gateway.list(&session, PATIENCE);
            let served = again.servers.len() == SERVERS;
            answer = Some(again);
            std::thread::sleep(Duration::from_millis(200));
            Ok(served)
        },
    )
    .with_context(|| format!("{answer:?}; {}", guard.agent.last_words()))?;
    let took = since.elapsed();
    gateway.settled(BOOT)?.ensure_no_error()?;
    let target = guard.target()?;
    ensure!(
        target["counts"]["killed"] == 0 && target["retired"] != 0,
        "{target}"
    );
    // It is full again at once: a session's idle ones are made anew.
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: None,
        did: &["end"],
        calm: false,
    }
    .ensure()?;
    let counts = stand.witness.counts()?;
    ensure!(counts.running_peak <= cap, "over {cap}: {counts:?}");
    table::note(format!(
        "at a cap of {cap}: from a client's refusal to its served list {took:.1?}, {} trees retired",
        target["retired"]
    ));
    guard.agent.stop_cleanly().map(drop)
}
