//! The slow leak, with its ten hours compressed into a minute by `leak_over`.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::check::same;
use guard_tests::docker::metamcp::{Server, Setup};
use serde_json::Value;

use super::after::{After, Spine};
use super::{Rules, booted};
use crate::metamcp::{BOOT, PATIENCE};
use crate::scene::OnStage;

/// From one leaked session to the next.
const EVERY: Duration = Duration::from_secs(3);
/// All that is compared is known after 62 s.
const LIMIT: Duration = Duration::from_secs(150);
/// Trees of a family that are healthy.
const ALLOWED: u64 = 2;

/// Sessions come and are never ended. Of each, one server goes soon after it came, as it does where people
/// come and go, and one stays: that one is named, with its command line and a bound for it, before any
/// count says a word, and nothing is done to it.
pub fn slow() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let rules = Rules {
        allowed: ALLOWED,
        idle: "calm = \"1h\", pressure = \"2m\", lasting = \"15s\"",
        levels: [1_000, 2_000, 3_000, 4_000],
        processes: "leak_over = \"60s\"",
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let setup = Setup {
        servers: Server::npx(2),
        patience: PATIENCE,
        ..Setup::default()
    };
    let stand = booted(stage, &setup)?;
    let gateway = &stand.gateway;
    let spine = Spine::of(&guard, &stand)?;
    let [stays, goes] = [0, 1].map(|at| setup.servers[at].name.clone());
    let told = || -> Vec<Value> {
        let all = guard.agent.events().into_iter();
        all.filter(|line| line["event"] == "leak").collect()
    };
    let began = Instant::now();
    let mut sessions = Vec::new();
    while told().is_empty() {
        ensure!(
            began.elapsed() < LIMIT,
            "nothing is called a leak after {} sessions: {}",
            sessions.len(),
            guard.target()?
        );
        let next = Instant::now() + EVERY;
        let session = gateway.open()?;
        same(
            "served",
            gateway.list(&session, PATIENCE).servers.len(),
            setup.servers.len(),
        )?;
        gateway.settled(BOOT)?;
        sessions.push(session);
        same(
            "its other server",
            gateway.hang_up(&goes)?.server,
            goes.clone(),
        )?;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let took = began.elapsed();
    let all = told();
    let leak = all.first().context("no leak")?;
    let word = |field: &str| leak[field].as_str().unwrap_or_default().to_owned();
    ensure!(
        word("family").contains(&stays) && word("command").contains(&stays),
        "{leak}"
    );
    ensure!(
        word("message").contains(&format!("= {ALLOWED} }}")),
        "no bound is proposed: {leak}"
    );
    ensure!(
        !all.iter()
            .any(|line| line["family"].to_string().contains(&goes)),
        "{all:?}"
    );
    let target = guard.target()?;
    same("the level", &target["level"], &Value::from("warning"))?;
    gateway.settled(BOOT)?.ensure_no_error()?;
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: None,
        did: &[],
        calm: false,
    }
    .ensure()?;
    crate::table::note(format!(
        "a leak with leak_over = 60s: {} sessions in {took:.1?}, then {}",
        sessions.len(),
        word("message")
    ));
    guard.agent.stop_cleanly().map(drop)
}
