//! An explosion: sessions that leak faster than anybody could look. (Of a slower one every tree is idle
//! before it is an emergency: `cleanup.rs`.)

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::docker::metamcp::MetaMcp;
use serde_json::Value;

use super::after::{After, Spine};
use super::{Neighbour, Rules, at_level, booted, decided, leave, servers, serves};
use crate::metamcp::{BOOT, PATIENCE};
use crate::profile::{RESERVE, until};
use crate::scene::OnStage;
use crate::table;

const SERVERS: usize = 3;
/// Nuclear is above all that has room: what is shown here is what comes before.
const LEVELS: [u64; 4] = [7, 8, 12, 100];

/// Ten processes a second, until it is contained: at the cap the gate is tightened, everything past the
/// threshold is ended at once, the gate is loosened, and a new session is served.
pub fn of_ten_a_second() -> Result<()> {
    /// Trees that have room, three of them the pool's: two CPUs boot the others in four seconds.
    const ROOM: u64 = 21;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let neighbour = Neighbour::start(stage)?;
    let own = servers(SERVERS).layout.processes();
    let cap = RESERVE + own + ROOM;
    let rules = Rules {
        cap,
        slots: 1,
        allowed: 1,
        levels: LEVELS,
        times: "clear_after = \"1s\"\nheld_for = \"5s\"",
        idle: "calm = \"1h\", pressure = \"2s\", lasting = \"1s\"",
        settle: "8s",
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let stand = booted(stage, &servers(SERVERS))?;
    let gateway = &stand.gateway;
    let spine = Spine::of(&guard, &stand)?;
    let begun = Instant::now();
    let (sessions, (tightened, contained)) =
        leaking(gateway, Duration::from_millis(300), 100, || -> Result<_> {
            let tightened = until(&guard, "the gate is tightened in an emergency", |target| {
                target["level"] == "emergency"
                    && target["tight_cap"].is_u64()
                    && target["limits"]["max_processes"] == target["tight_cap"]
            })
            .with_context(|| guard.agent.last_words())?;
            let contained = until(&guard, "all past the threshold is gone", |target| {
                is_below(target, LEVELS[1]) && target["tight_cap"].is_null()
            })
            .with_context(|| guard.agent.last_words())?;
            Ok((tightened, contained))
        })?;
    let took = begun.elapsed();
    ensure!(
        tightened["tight_cap"].as_u64() < Some(cap) && tightened["pressed_since_ms"].is_i64(),
        "{tightened}"
    );
    let live = contained["counts"]["live"].as_u64();
    ensure!(live < Some(own + SERVERS as u64 + LEVELS[1]), "{contained}");
    let forced = decided(&guard, "force");
    let whole = |line: &Value| line["reason"] == "emergency" && !line["evidence"].is_null();
    ensure!(!forced.is_empty() && forced.iter().all(whole), "{forced:?}");
    let counts = stand.witness.counts()?;
    ensure!(counts.running_peak <= cap, "over {cap}: {counts:?}");
    until(&guard, "the gate is loosened", |target| {
        target["limits"]["max_processes"] == cap
    })?;

    leave(gateway, &sessions)?;
    at_level(&guard, "normal")?;
    // A second after it was told to, a server that has not ended is killed: that is a crash.
    let failed = gateway.settled(BOOT)?.in_error().len();
    if failed > 0 {
        gateway.reset()?;
    }
    let served = serves(gateway, SERVERS)?;
    let after = guard.target()?;
    table::note(format!(
        "an explosion of 10 a second: {} sessions, {} processes at most under a cap of {cap}, {} while it was tightened, \
         {} trees ended ({} by a signal), contained after {took:.1?}, {failed} servers in ERROR, served again in {served:.1?}",
        sessions.len(),
        counts.running_peak,
        tightened["tight_cap"],
        forced.len(),
        after["killed_by"]["nuclear_monitor"],
    ));
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: Some(&neighbour),
        did: &["force"],
        calm: true,
    }
    .ensure()?;
    guard.agent.stop_cleanly().map(drop)
}

fn is_below(target: &Value, threshold: u64) -> bool {
    target["excess"]
        .as_u64()
        .is_some_and(|excess| excess < threshold)
}

/// Opens a session each `spacing`, each asked for its tools by a client of its own, until `watch` has seen
/// enough, or there are so many. Gives the sessions.
fn leaking<T>(
    gateway: &MetaMcp,
    spacing: Duration,
    most: usize,
    watch: impl FnOnce() -> Result<T>,
) -> Result<(Vec<String>, T)> {
    let enough = AtomicBool::new(false);
    let opened = Mutex::new(Vec::new());
    let client = || {
        // Whoever is refused is answered without a server, or not at all.
        if let Ok(id) = gateway.open() {
            opened
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(id.clone());
            let _answer = gateway.list(&id, PATIENCE);
        }
    };
    let seen = thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            for number in 1..=most {
                scope.spawn(client);
                let next = spacing * u32::try_from(number).unwrap_or(u32::MAX);
                thread::sleep(next.saturating_sub(begun.elapsed()));
                if enough.load(Relaxed) {
                    return;
                }
            }
        });
        let seen = watch();
        enough.store(true, Relaxed);
        seen
    });
    let opened = opened.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((opened, seen?))
}
