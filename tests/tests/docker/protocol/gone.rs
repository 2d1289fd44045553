//! Servers whose gateway is gone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::{Layout, Server, Setup};
use rustix::process::{Pid, Signal, kill_process};

use super::after::{After, Spine};
use super::{Rules, at_level, decided};
use crate::metamcp::Stand;
use crate::profile::until;
use crate::scene::{OnStage, SOON};

/// A gateway that is killed again and again leaves a server each time that does not mind the end of its
/// input. From critical on they are ended, whole, by signals since nothing gentler does; the gateway that
/// runs keeps its own, what stands above it is left alone, and the incident is over.
pub fn orphans() -> Result<()> {
    /// A shell and two that it waits for.
    const TREE: u64 = 3;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let mut guard = Rules::default().guard(stage)?;
    let setup = Setup {
        layout: Layout::S6,
        servers: vec![Server::new(
            "pair",
            "sh",
            &["-c", "sleep 600 | sleep 600; true"],
        )],
        // It never answers.
        patience: Duration::from_secs(600),
        ..Setup::default()
    };
    let own = setup.layout.processes();
    let stand = Stand::start(stage, "metamcp", &setup)?;
    for round in 1..=5 {
        stand.lives("a gateway and its server", own + round * TREE)?;
        let found = until(&guard, "the gateway that runs is known", |target| {
            let gateways = target["gateways"].as_array();
            gateways.is_some_and(|all| all.len() == 1) && target["counts"]["trees"] == round
        })?;
        let gateway = found["gateways"][0]["pid"].as_i64().context("no gateway")?;
        if round == 5 {
            break;
        }
        let gateway = i32::try_from(gateway).ok().and_then(Pid::from_raw);
        kill_process(gateway.context("no pid")?, Signal::KILL)?;
    }
    // The gateway that runs now.
    let spine = Spine::of(&guard, &stand)?;
    // As many as bring it below warning; the others may stay.
    let mut live = 0;
    eventually("orphans are ended", SOON, || {
        live = stand.witness.counts()?.live;
        Ok(live <= own + 3 * TREE)
    })
    .with_context(|| format!("{live} live; {}", guard.agent.last_words()))?;
    at_level(&guard, "normal")?;
    live = stand.witness.counts()?.live;
    same("no half tree", (live - own) % TREE, 0)?;
    ensure!(
        live >= own + TREE,
        "the gateway lost its own server: {live}"
    );
    let by: Vec<_> = [decided(&guard, "end"), decided(&guard, "force")].concat();
    let grounds: Vec<_> = by.iter().map(|line| line["evidence"].clone()).collect();
    let gone = |ground: &serde_json::Value| *ground == "orphan" || *ground == "no_writer";
    ensure!(!by.is_empty() && grounds.iter().all(gone), "{grounds:?}");
    let target = guard.target()?;
    ensure!(target["killed_by"]["nuclear_monitor"] != 0, "{target}");
    let closed = guard.nth("incident_closed", "metamcp", 1)?;
    ensure!(
        closed["how"] == "cleanup" && closed["killed"] != 0,
        "{closed}"
    );
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: None,
        did: &["end"],
        calm: true,
    }
    .ensure()?;
    guard.agent.stop_cleanly().map(drop)
}
