//! Levels by memory, and the tier that carries them out.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::after::{After, Spine};
use super::{Rules, booted, decided, leak, servers};
use crate::metamcp::BOOT;
use crate::profile::{GATE_ALONE, until};
use crate::scene::OnStage;
use crate::table;

/// Memory above critical: the resource enforcer ends idle trees one by one until it is below, no more,
/// and the gateway counts no crash.
pub fn tree_by_tree() -> Result<()> {
    const SERVERS: usize = 2;
    const LEAKED: u64 = 6;
    /// Trees that are to go.
    const SURPLUS: u64 = 4;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let stand = booted(stage, &servers(SERVERS))?;
    let gateway = &stand.gateway;
    let used = |target: &Value| target["memory_used_bytes"].as_u64();
    // What all of it needs, and then what a tree does.
    let measuring = Rules {
        more: GATE_ALONE.to_owned(),
        ..Rules::default()
    };
    let guard = measuring.guard(stage)?;
    let read = |trees: u64| -> Result<u64> {
        let target = until(&guard, "memory is read", |target| {
            target["counts"]["trees"] == trees && used(target).is_some()
        })?;
        used(&target).context("no memory")
    };
    let before = read(SERVERS as u64)?;
    leak(gateway, LEAKED, SERVERS)?;
    let all = read(SERVERS as u64 * (LEAKED + 1))?;
    guard.agent.stop_cleanly()?;
    ensure!(all > before, "{before} bytes, then {all}");
    let tree = (all - before) / (SERVERS as u64 * LEAKED);
    let critical = all - SURPLUS * tree;
    let limit = critical / 90 * 100;

    let rules = Rules {
        more: format!(
            "[target.tiers]\nnuclear_monitor = {{ on = false }}\nhost_monitor = {{ on = false }}\n\
             startup_preventer = {{ on = false }}\n[target.memory]\nlimit = \"{limit}B\"\n"
        ),
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let spine = Spine::of(&guard, &stand)?;
    let below = until(&guard, "memory is below critical", |target| {
        target["retired"] != 0 && used(target).is_some_and(|used| used <= critical)
    })
    .with_context(|| guard.agent.last_words())?;
    let by: Vec<_> = [decided(&guard, "end"), decided(&guard, "force")].concat();
    ensure!(
        !by.is_empty() && by.iter().all(|line| line["tier"] == "resource_enforcer"),
        "{by:?}"
    );
    let retired = below["retired"].as_u64().unwrap_or_default();
    ensure!(below["counts"]["killed"] == 0, "{below}");
    ensure!(
        retired <= 2 * SURPLUS,
        "{retired} trees for the memory of {SURPLUS}"
    );
    gateway.settled(BOOT)?.ensure_no_error()?;
    // The sessions are left, and more than is healthy.
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: None,
        // Gently or at once, as much as it is above critical.
        did: &[],
        calm: false,
    }
    .ensure()?;
    table::note(format!(
        "memory: {} MB, critical above {} MB: {retired} trees retired, one by one",
        all >> 20,
        critical >> 20
    ));
    guard.agent.stop_cleanly().map(drop)
}
