//! Who is left in peace.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use guard_tests::check::same;

use super::{Rules, at_level, booted, decided, servers};
use crate::metamcp::{BOOT, PATIENCE};
use crate::scene::OnStage;

/// Five live sessions of ten servers are an emergency and more by count. Without pressure, and as long
/// as none is idle for an hour, nothing of them ends; `docker exec` goes on.
pub fn live_sessions() -> Result<()> {
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
    let mut shell = stage
        .docker
        .command(120, &["exec", "-i", "metamcp", "sh", "-c", "cat; echo end"]);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let report = gateway.storm(5, Duration::ZERO, 2 * PATIENCE)?;
    same("served", report.first_with(SERVERS), 5)?;
    gateway.settled(BOOT)?.ensure_all_idle()?;
    let target = at_level(&guard, "nuclear")?;
    // Looks come every two seconds at that level.
    std::thread::sleep(Duration::from_secs(8));
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
    for one in &report.sessions {
        let id = one.id.as_deref().unwrap_or_default();
        same(
            "served still",
            gateway.list(id, PATIENCE).servers.len(),
            SERVERS,
        )?;
    }
    ensure!(shell.try_wait()?.is_none(), "the shell was ended");
    drop(shell.stdin.take());
    let said = shell.wait_with_output()?;
    same("the shell's last words", said.stdout.as_slice(), b"end\n")?;
    guard.agent.stop_cleanly().map(drop)
}
