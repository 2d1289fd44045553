//! The gateway that treats its servers as MetaMCP does, guarded: whole trees or none, and a refusal
//! that nobody counts as a crash.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::{Layout, Server, Setup};
use guard_tests::docker::spawners::{Spawners, Way};
use guard_tests::docker::{Container, Parent};
use serde_json::Value;

use crate::metamcp::{BOOT, PATIENCE, Stand, TREE};
use crate::profile::{RESERVE, SLOTS, guard, untouched};
use crate::scene::{OnStage, SOON};
use crate::table;

/// Two gateways behind a shell, an init of Docker's, npm, s6,
/// supervisord, and the gateway as PID 1: in each the
/// spine is known, and each server is one tree of its family.
pub fn layouts() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    for layout in Layout::ALL {
        let what = format!("{layout:?}");
        let guard = guard(stage, 400)?;
        let setup = Setup {
            layout,
            servers: Server::npx(1),
            ..Setup::default()
        };
        let stand = Stand::start(stage, "metamcp", &setup)?;
        stand.gateway.settled(BOOT)?.ensure_all_idle()?;
        let session = stand.gateway.open()?;
        let answer = stand.gateway.list(&session, PATIENCE);
        ensure!(answer.servers.len() == 1, "{what}: {answer}");
        stand.gateway.settled(BOOT)?.ensure_no_error()?;
        let live = layout.processes() + 2 * TREE;
        stand.lives(&what, live)?;
        let is_so = |target: &Value| {
            let gateways = target["gateways"].as_array().map_or(0, Vec::len);
            let family = &target["families"][0];
            let expected = if layout == Layout::Entrypoint { 2 } else { 1 };
            gateways == expected
                && family["trees"] == 2
                && family["processes"] == 2 * TREE
                && family["name"] == "npx @modelcontextprotocol/server-memory"
                && target["committed"] == layout.processes() + 2 * SLOTS
                && target["counts"]["live"] == live
        };
        let mut last = Value::Null;
        eventually(&what, SOON, || {
            last = guard.target()?;
            Ok(is_so(&last))
        })
        .with_context(|| format!("{what}: {last}"))?;
        drop(stand);
        guard.agent.stop_cleanly()?;
    }
    Ok(())
}

/// A boot of ten servers and five sessions opened at once are healthy: nothing of it is refused.
pub fn healthy() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let guard = guard(stage, 400)?;
    // By node alone, since sixty npx servers at once need minutes on two CPUs.
    let setup = Setup {
        servers: Server::node(10),
        patience: 2 * PATIENCE,
        ..Setup::default()
    };
    let stand = Stand::start(stage, "metamcp", &setup)?;
    stand.gateway.settled(BOOT)?.ensure_all_idle()?;
    let report = stand.gateway.storm(5, Duration::ZERO, 2 * PATIENCE)?;
    same("served", report.first_with(10), 5)?;
    untouched(&guard, &stand.gateway.settled(BOOT)?)?;
    guard.agent.stop_cleanly().map(drop)
}

/// At the cap every way to start a program fails at once with an error that its caller can catch,
/// and what comes by `docker exec` works, every time.
pub fn at_the_cap() -> Result<()> {
    const EXECS: u32 = 10;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("metamcp")?;
    // The shell and both gateways; one tree fits.
    let guard = guard(stage, RESERVE + 3 + SLOTS)?;
    let spawners = Spawners::start(&stage.docker, &stage.image, &parent, "metamcp", &[])?;
    for way in Way::ALL {
        if way == Way::Dash {
            spawners.start_shell()?;
        }
        let attempt = spawners.attempt(way)?;
        ensure!(attempt.ran(), "{way:?} with room: {attempt:?}");
    }
    let filled = spawners.fill(2)?;
    same("sleepers", filled.running, 1)?;
    for way in Way::ALL {
        if way == Way::Dash {
            // It is a tree of its own, and there is room for none.
            continue;
        }
        let attempt = spawners.attempt(way)?;
        table::note(format!(
            "{way:?}, refused by the guard: errno {:?}, code {:?}, signal {:?}, {:.1} ms",
            attempt.errno, attempt.code, attempt.signal, attempt.ms
        ));
        ensure!(attempt.refused(), "{way:?} at the cap: {attempt:?}");
        ensure!(attempt.ms < 1000.0, "{way:?}: late: {attempt:?}");
    }
    for _ in 0..EXECS {
        let pipeline = ["exec", "metamcp", "sh", "-c", "echo one two | cat | cat"];
        same(
            "docker exec",
            stage.docker.output(&pipeline)?.trim(),
            "one two",
        )?;
    }
    let server = stage
        .docker
        .command(20, &["exec", "-i", "metamcp", "sh", "-c", "cat; echo end"])
        .stdin(Stdio::null())
        .output()
        .context("docker exec -i")?;
    same("docker exec -i", server.stdout.as_slice(), b"end\n")?;
    let target = guard.target()?;
    same("killed", &target["counts"]["killed"], &Value::from(0))?;
    spawners.empty()?;
    eventually("there is room again", SOON, || {
        Ok(spawners.attempt(Way::Spawn)?.ran())
    })?;
    guard.agent.stop_cleanly().map(drop)
}

/// A server that renames itself, leaves its session, executes from memory, from /dev/shm, under
/// trace, or nothing at all: no more of it runs a program than has room.
pub fn evasion() -> Result<()> {
    const OFTEN: &str = "12";
    const CAP: u64 = 20;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("metamcp")?;
    let witness = parent.witness()?;
    let guard = guard(stage, CAP)?;
    let command = [
        stage.image.as_str(),
        "sh",
        "-c",
        "node -e 'require(\"child_process\").spawn(\"python3\", [\"/opt/evasion/evasion.py\", process.argv[1]], {detached: true, stdio: \"inherit\"}); setInterval(() => 0, 1000)' $0; true",
        OFTEN,
    ];
    let container = Container::create(&stage.docker, &parent, "metamcp", &command)?;
    container.give(
        "/opt/evasion",
        &[("evasion.py", include_str!("../../gateways/evasion.py"))],
    )?;
    container.start()?;
    eventually("it has tried all", SOON, || {
        Ok(container.logs()?.contains("without_a_program"))
    })
    .with_context(|| container.logs().unwrap_or_default())?;
    // Who executes nothing is ended after ten seconds.
    let mut target = Value::Null;
    eventually("nobody is left without a slot", SOON, || {
        target = guard.target()?;
        Ok(target["counts"]["condemned_now"] == 0)
    })
    .with_context(|| format!("{target}"))?;
    let counts = witness.counts()?;
    ensure!(
        counts.running_peak <= CAP,
        "over {CAP}: {counts:?}; {target}"
    );
    ensure!(counts.live <= CAP, "over {CAP}: {counts:?}; {target}");
    ensure!(
        target["counts"]["condemned"] != 0,
        "it did not press: {target}"
    );
    let tree = target["families"][0]["trees"].as_u64();
    same("trees that all of it is in", tree, Some(1))?;
    table::note(format!(
        "evasion: tried {}; {} programs at once, {} bodies at once, of {CAP}; {}",
        container.logs()?.trim(),
        counts.running_peak,
        counts.live_peak,
        target["counts"]
    ));
    drop(container);
    guard.agent.stop_cleanly().map(drop)
}

/// A server that is moved out of its container's cgroup and back is no guest with a budget of its
/// own.
pub fn there_and_back() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let guard = guard(stage, 400)?;
    let setup = Setup {
        layout: Layout::Direct,
        servers: Server::node(1),
        ..Setup::default()
    };
    let stand = Stand::start(stage, "metamcp", &setup)?;
    let state = stand.gateway.settled(BOOT)?;
    let server = state.with_role("idle").next().context("no server")?;
    let pid = stand.gateway.host_pid(server)?.to_string();
    let gauges = |live: u64, trees: u64| {
        let mut target = Value::Null;
        eventually("counted anew", SOON, || {
            target = guard.target()?;
            let counts = &target["counts"];
            Ok(counts["live"] == live && counts["trees"] == trees && counts["guests"] == 0)
        })
        .with_context(|| format!("{live} live, {trees} trees: {target}"))
    };
    gauges(2, 1)?;
    let inside = stand.gateway.container.cgroup(&stand.parent)?;
    let outside = inside.parent().context("a cgroup at the root")?;
    std::fs::write(outside.join("cgroup.procs"), &pid)?;
    gauges(1, 0)?;
    std::fs::write(inside.join("cgroup.procs"), &pid)?;
    gauges(2, 1)?;
    stand.gateway.settled(BOOT)?.ensure_no_error()?;
    guard.agent.stop_cleanly().map(drop)
}

/// A container that runs already, with servers and somebody who came by `docker exec`: each is found
/// to be what it is, and counted out as that.
pub fn found_running() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let layout = Layout::Entrypoint;
    let setup = Setup {
        layout,
        servers: Server::npx(1),
        ..Setup::default()
    };
    let stand = Stand::start(stage, "metamcp", &setup)?;
    stand.gateway.settled(BOOT)?.ensure_all_idle()?;
    let pipeline = ["exec", "-i", "metamcp", "sh", "-c", "cat | cat; true"];
    let mut guests = stage.docker.command(60, &pipeline);
    let mut guests = guests.stdin(Stdio::piped()).spawn()?;
    let own = layout.processes();
    stand.lives("the servers and the guests", own + TREE + 3)?;
    let guard = guard(stage, 400)?;
    let is = |target: &Value, gauges: [u64; 4], gateways: usize| {
        let counts = &target["counts"];
        let now = [
            &counts["live"],
            &counts["guests"],
            &counts["trees"],
            &target["committed"],
        ];
        now == gauges.map(Value::from).each_ref()
            && target["gateways"].as_array().map(Vec::len) == Some(gateways)
    };
    let until = |what: &str, gauges: [u64; 4], gateways: usize| {
        let mut last = Value::Null;
        eventually(what, SOON, || {
            last = guard.target()?;
            Ok(is(&last, gauges, gateways))
        })
        .with_context(|| format!("{gauges:?}, {gateways} gateways: {last}"))
    };
    // What was there reserves nothing.
    until("all found", [own + TREE, 3, 1, own + TREE], 2)?;
    // The end of their input is theirs.
    drop(guests.stdin.take());
    ensure!(guests.wait()?.success(), "docker exec failed");
    until("the guests are gone", [own + TREE, 0, 1, own + TREE], 2)?;
    let session = stand.gateway.open()?;
    let answer = stand.gateway.list(&session, PATIENCE);
    ensure!(answer.servers.len() == 1, "{answer}");
    stand.gateway.settled(BOOT)?.ensure_no_error()?;
    // The second tree came under the guard and reserves four.
    until("a new tree", [own + 2 * TREE, 0, 2, own + TREE + SLOTS], 2)?;
    drop(stand);
    until("all gone", [0, 0, 0, 0], 0)?;
    guard.agent.stop_cleanly().map(drop)
}
