//! Every way to start a program, with room and without: what a caller sees of a fork that the kernel
//! refuses. A guard's refusal must be no worse.

use anyhow::{Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::java::Java;
use guard_tests::docker::spawners::{Spawners, Way};
use guard_tests::docker::{Parent, Told};

use crate::profile::{RESERVE, SLOTS, guard};
use crate::scene::{OnStage, SOON};
use crate::table;

/// Docker's limit refuses the forks of all ten ways at once, and each caller can tell.
pub fn refused_forks() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("spawners")?;
    let spawners = Spawners::start(&stage.docker, &stage.image, &parent, "spawners", &[])?;
    spawners.start_shell()?;
    for way in Way::ALL {
        let attempt = spawners.attempt(way)?;
        ensure!(attempt.ran(), "{way:?} with room: {attempt:?}");
    }
    // Node's threads are all there by now; a thread that is refused would abort it.
    spawners.start_shell()?;
    let limit = |most: &str| {
        spawners
            .container
            .tell(&["update", "--pids-limit", most])
            .map(drop)
    };
    limit("5")?;
    for way in Way::ALL {
        let attempt = spawners.attempt(way)?;
        table::note(format!(
            "{way:?}, refused: errno {:?}, code {:?}, signal {:?}, {:.1} ms, {:?}",
            attempt.errno, attempt.code, attempt.signal, attempt.ms, attempt.said
        ));
        ensure!(attempt.refused(), "{way:?} at the limit: {attempt:?}");
        ensure!(attempt.ms < 1000.0, "{way:?}: late: {attempt:?}");
    }
    let filled = spawners.fill(3)?;
    ensure!(filled.running == 0, "room? {filled:?}");
    limit("-1")?;
    spawners.start_shell()?;
    for way in Way::ALL {
        let attempt = spawners.attempt(way)?;
        ensure!(attempt.ran(), "{way:?} with room again: {attempt:?}");
    }
    let filled = spawners.fill(12)?;
    ensure!(filled.running == 12, "no room? {filled:?}");
    spawners.empty()?;
    eventually("all sleepers are gone", SOON, || {
        Ok(spawners.container.top()? == 3)
    })
}

/// Java's ProcessBuilder at the cap: an IOException, from a runtime that is mounted into the
/// container.
pub fn java() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("metamcp")?;
    // Java is the gateway; one tree fits.
    let guard = guard(stage, RESERVE + 1 + SLOTS)?;
    let java = Java::of_host()?;
    let (options, program) = (java.options(), java.program());
    let mut rest: Vec<&str> = options.iter().map(String::as_str).collect();
    // Quick to start; what is compiled here is seventy lines.
    let quick = "-XX:TieredStopAtLevel=1";
    rest.extend([
        &stage.image,
        program.as_str(),
        quick,
        "/opt/told/Spawner.java",
    ]);
    let files = [(
        "Spawner.java",
        include_str!("../../gateways/spawners/Spawner.java"),
    )];
    let mut spawner = Told::start(&stage.docker, &parent, "metamcp", &files, &rest)?;
    same("with room", spawner.say("run")?.as_str(), "code 0")?;
    same("a server", spawner.say("keep")?.as_str(), "kept 1")?;
    let said = spawner.say("run")?;
    table::note(format!("ProcessBuilder, refused by the guard: {said}"));
    // EAGAIN.
    ensure!(
        said.starts_with("refused:") && said.contains("error=11"),
        "at the cap: {said}"
    );
    same("killed", &guard.target()?["counts"]["killed"], &0.into())?;
    spawner.say("drop")?;
    eventually("there is room again", SOON, || {
        Ok(spawner.say("run")? == "code 0")
    })?;
    guard.agent.stop_cleanly().map(drop)
}
