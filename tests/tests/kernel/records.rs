//! Records that are never left out: those that roles and families come from.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use guard_common::abi::DETAIL_PER_SECOND;
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, WIDE};
use guard_tests::suite::cannot_here;
use guard_tests::{Actor, Cgroup, Storm, Witness};

use crate::scene::gauges;

/// How long a machine may take to show how fast it forks.
const PATIENCE: Duration = Duration::from_secs(3);

/// Families, each of one tree: fewer than the agent tells apart.
const FAMILIES: u8 = 40;

/// Beside more than 2,000 records a second of a tree's members, each new root's exec comes through,
/// and each one's end.
pub fn of_roots() -> Result<()> {
    let cgroup = Cgroup::new("records")?;
    let witness = Witness::watch(&cgroup)?;
    let guarded = Guarded::protecting(&cgroup, "^gate ", WIDE)?;
    let mut actor = Actor::start(&cgroup)?;
    actor.becomes("gate")?;
    guarded.until("the actor is a gateway", |said| said.gateways.len() == 1)?;
    let storm = Storm::start(&cgroup, &["forks", "100000", "--parallel", "4"])?;
    let began = Instant::now();
    while guarded.only()?.counts.sampled == 0 && began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
    let said = guarded.only()?;
    let forks = said.counts.spawns / PATIENCE.as_secs();
    // A fork is two records: a birth and an end.
    if said.counts.sampled == 0 && forks < DETAIL_PER_SECOND / 4 {
        let why = format!("it makes {forks} processes a second: too few to leave records out");
        return Err(cannot_here(&why));
    }
    let sampled =
        |more: u64| guarded.until("records are left out", |said| said.counts.sampled > more);
    let before = sampled(0)?.counts.sampled;
    let mut roots = BTreeMap::new();
    for number in 0..FAMILIES {
        let letter = |n: u8| char::from(b'a' + n);
        let name = format!("server-{}{}", letter(number / 8), letter(number % 8));
        roots.insert(name.clone(), actor.whole_tree(&name, 1)?);
    }
    sampled(before)?;
    let known = guarded.until("all roots are known", |said| {
        roots.iter().all(|(name, root)| {
            let mut families = said.families.iter();
            families.any(|family| family.name == *name && family.roots == [*root])
        })
    })?;
    same("gateways", known.gateways.len(), 1)?;
    for root in roots.values() {
        same("its code", actor.ends(*root)?.code, 0)?;
    }
    let gone = guarded.until("and gone", |said| {
        !said
            .families
            .iter()
            .any(|family| roots.contains_key(&family.name))
    })?;
    sampled(gone.counts.sampled)?;
    cgroup.kill()?;
    storm.killed()?;
    let rest = guarded.agrees(&witness)?;
    same("gauges of an empty cgroup", gauges(&rest), [0; 4])?;
    ensure!(rest.counts.lost == 0, "the ring was full: {rest:?}");
    guarded.agent.stop_cleanly().map(drop)
}
