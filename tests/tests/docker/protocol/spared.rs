//! Who is left in peace.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use guard_tests::check::same;

use super::after::{After, Spine};
use super::{Rules, at_level, booted, decided, servers};
use crate::metamcp::{BOOT, PATIENCE};
use crate::scene::OnStage;

/// Five live sessions of ten servers are an emergency and more by count. Without pressure, and as long
/// as none is idle for an hour, nothing of them ends; `docker exec` goes on.
pub fn live_sessions() -> Result<()> {
    // Looks come every two seconds at that level.
    live_for(Duration::from_secs(8))
}

/// The same for half an hour, in which two of the sessions are used each minute, and the others never.
pub fn idle_sessions() -> Result<()> {
    live_for(Duration::from_secs(30 * 60))
}

fn live_for(wait: Duration) -> Result<()> {
    const SERVERS: usize = 10;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let rules = Rules {
        allowed: 1,
        idle: "calm = \"1h\", pressure = \"2m\", lasting = \"15s\"",
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let stand = booted(stage, &servers(SERVERS))?;
    let gateway = &stand.gateway;
    let spine = Spine::of(&guard, &stand)?;
    let mut shell = stage.docker.command(
        3_600,
        &["exec", "-i", "metamcp", "sh", "-c", "cat; echo end"],
    );
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let report = gateway.storm(5, Duration::ZERO, 2 * PATIENCE)?;
    same("served", report.first_with(SERVERS), 5)?;
    gateway.settled(BOOT)?.ensure_all_idle()?;
    let target = at_level(&guard, "nuclear")?;
    let ids = report.sessions.iter().filter_map(|one| one.id.as_deref());
    let ids: Vec<&str> = ids.collect();
    let until = Instant::now() + wait;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::sleep(left.min(Duration::from_secs(60)));
        for id in ids.iter().take(2) {
            same("served", gateway.list(id, PATIENCE).servers.len(), SERVERS)?;
        }
    }
    for action in ["end", "force", "restart", "recreate"] {
        let all = decided(&guard, action);
        ensure!(all.is_empty(), "{action}: {all:?}");
    }
    let after = guard.target()?;
    same(
        "trees",
        &after["counts"]["trees"],
        &target["counts"]["trees"],
    )?;
    let state = gateway.settled(BOOT)?;
    state.ensure_no_error()?;
    state.ensure_all_idle()?;
    for id in &ids {
        let listed = gateway.list(id, PATIENCE).servers.len();
        same("served still", listed, SERVERS)?;
    }
    ensure!(shell.try_wait()?.is_none(), "the shell was ended");
    drop(shell.stdin.take());
    let said = shell.wait_with_output()?;
    same("the shell's last words", said.stdout.as_slice(), b"end\n")?;
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: None,
        did: &[],
        calm: false,
    }
    .ensure()?;
    guard.agent.stop_cleanly().map(drop)
}
