//! Every way to start a program, with room and without, and no guard: what a caller sees of a fork
//! that the kernel refuses. A guard's refusal must be no worse.

use anyhow::{Result, ensure};
use guard_tests::check::eventually;
use guard_tests::docker::Parent;
use guard_tests::docker::spawners::{Spawners, Way};

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
