//! Threads that io_uring makes: counted as tasks, and no processes.

use anyhow::{Context, Result};
use guard_tests::check::same;
use guard_tests::guarded::cap;
use guard_tests::suite::cannot_here;

use crate::scene::{STAYS, Scene, settles};

/// One that polls and four workers, in two processes under a cap of two; one is killed, one ends.
pub fn of_threads() -> Result<()> {
    if std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").is_ok_and(|s| s.trim() == "2")
    {
        return Err(cannot_here(
            "io_uring is switched off (kernel.io_uring_disabled)",
        ));
    }
    let scene = Scene::set("rings", &cap(2))?;
    let mut stays = scene.start(&["rings", "4", "--hold", STAYS])?;
    let tasks = stays.ready().context("io_uring")?;
    same("tasks, as /proc has them", tasks, vec![6])?;
    settles(&scene.guarded, 1, 6)?;
    let report = {
        let mut ends = scene.start(&["rings", "4", "--hold", "200"])?;
        same("tasks of the second", ends.ready()?, vec![6])?;
        ends.report()?
    };
    same("failed", report.failed, 0)?;
    let said = settles(&scene.guarded, 1, 6)?;
    same(
        "threads, spawns, stopped",
        (
            said.counts.threads,
            said.counts.spawns,
            said.counts.condemned + said.counts.denied,
        ),
        (10, 0, 0),
    )?;
    scene.cgroup.kill()?;
    stays.killed()?;
    scene.at_rest()?;
    scene.end()
}
