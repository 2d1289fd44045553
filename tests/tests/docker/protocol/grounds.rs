//! What else speaks against a tree: that it does not wait for its children, and that nobody can write to
//! it any more.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::{MetaMcp, Process, Server, Setup};

use super::after::{After, Spine};
use super::{Rules, at_level, booted, decided, leak, leave};
use crate::metamcp::{BOOT, PATIENCE};
use crate::profile::until;
use crate::scene::{Guard, OnStage, SOON};

const HABITS: [&str; 3] = ["lazy", "heaps", "deaf"];

/// Parents of zombies are reminded by SIGCHLD, and that is said; one that does not mind and has more than
/// `zombie_limit` is ended, one that minds is not. A server whose client has hung up is ended, though it
/// is idle for a moment only and its gateway's child still. Nobody else is, and no crash is counted.
pub fn habits() -> Result<()> {
    /// Children of one that heaps (`tests/gateways/odd.py`).
    const HEAP: usize = 5;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let rules = Rules {
        allowed: 1,
        // Two sessions are critical, and of them two trees have to go.
        levels: [5, 6, 40, 80],
        times: "clear_after = \"1s\"",
        idle: "calm = \"1h\", pressure = \"1h\", lasting = \"1h\"",
        end: "grace = \"2s\"\nzombie_limit = 4",
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let setup = Setup {
        servers: HABITS.map(Server::odd).to_vec(),
        patience: PATIENCE,
        ..Setup::default()
    };
    let stand = booted(stage, &setup)?;
    let gateway = &stand.gateway;
    let spine = Spine::of(&guard, &stand)?;
    let mut sessions = leak(gateway, 1, HABITS.len())?;
    let first = instances(gateway)?;
    sessions.extend(leak(gateway, 1, HABITS.len())?);
    let second = instances(gateway)?;

    let lazy = pids(&second, "lazy", "");
    same("who is lazy", lazy.len(), 3)?;
    eventually("who is lazy has waited", SOON, || {
        Ok(lazy.iter().all(|pid| zombies(*pid) == 0))
    })
    .with_context(|| guard.agent.last_words())?;
    for pid in &lazy {
        reminded(&guard, *pid)?;
    }
    let heaps = pids(&second, "heaps", "active");
    until(&guard, "who heaps is ended", |_| {
        heaps.iter().all(|pid| is_gone(*pid))
    })
    .with_context(|| guard.agent.last_words())?;
    same(
        "ended for zombies",
        ended_for(&guard, "zombies"),
        heaps.clone(),
    )?;
    let youngest = pids(&second, "heaps", "idle");
    let left: Vec<usize> = youngest.iter().map(|pid| zombies(*pid)).collect();
    same("zombies of the youngest", left, vec![HEAP])?;

    gateway.hang_up("deaf")?;
    let deaf = pids(&first, "deaf", "active");
    sessions.extend(leak(gateway, 1, HABITS.len())?);
    until(&guard, "whose client has hung up is ended", |_| {
        deaf.iter().all(|pid| is_gone(*pid))
    })
    .with_context(|| guard.agent.last_words())?;
    same(
        "ended for want of a writer",
        ended_for(&guard, "no_writer"),
        deaf,
    )?;
    // It was the youngest, and another is now.
    let mut heaps = [heaps, youngest].concat();
    heaps.sort_unstable();
    until(&guard, "who heaps is ended", |_| {
        heaps.iter().all(|pid| is_gone(*pid))
    })?;
    same(
        "ended for zombies",
        ended_for(&guard, "zombies"),
        heaps.clone(),
    )?;
    same("ended", decided(&guard, "end").len(), heaps.len() + 1)?;
    gateway.settled(BOOT)?.ensure_no_error()?;

    leave(gateway, &sessions)?;
    at_level(&guard, "normal")?;
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: None,
        did: &["nudge", "end"],
        calm: true,
    }
    .ensure()?;
    guard.agent.stop_cleanly().map(drop)
}

/// All that the gateway has now, each with its pid on the host.
fn instances(gateway: &MetaMcp) -> Result<Vec<(Process, u32)>> {
    let all = gateway.settled(BOOT)?.processes.into_iter();
    all.map(|one| gateway.host_pid(&one).map(|pid| (one, pid)))
        .collect()
}

/// Those of a server in this role (any, where it is empty).
fn pids(all: &[(Process, u32)], server: &str, role: &str) -> Vec<u32> {
    let those = all
        .iter()
        .filter(|(one, _)| one.server == server && (role.is_empty() || one.role == role));
    let mut pids: Vec<u32> = those.map(|(_, pid)| *pid).collect();
    pids.sort_unstable();
    pids
}

/// Its children that have ended and were not waited for.
fn zombies(pid: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let stat = |child: &str| fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    let ended = children.split_whitespace();
    ended.filter(|child| stat(child).contains(") Z ")).count()
}

fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// The roots of the trees that were ended for this.
fn ended_for(guard: &Guard, evidence: &str) -> Vec<u32> {
    let all = decided(guard, "end").into_iter();
    let those = all.filter(|line| line["evidence"] == evidence);
    let roots = those.filter_map(|line| line["root"].as_u64()?.try_into().ok());
    let mut roots: Vec<u32> = roots.collect();
    roots.sort_unstable();
    roots
}

/// It was sent SIGCHLD once, and that was said.
fn reminded(guard: &Guard, pid: u32) -> Result<()> {
    let named = format!("(pid {pid}) has 2 zombies");
    let all = decided(guard, "nudge");
    let its = all.iter().filter(|line| {
        let what = line["what"].as_str();
        what.is_some_and(|what| what.contains(&named)) && line["tier"] == "resource_enforcer"
    });
    ensure!(its.count() == 1, "{named}: {all:?}");
    Ok(())
}
