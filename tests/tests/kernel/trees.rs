//! Whole trees: what a gateway spawns is let in with room for all of it, or refused at its root.

use anyhow::Result;
use guard_tests::check::same;
use guard_tests::guarded::Guarded;
use guard_tests::load::tally::Report;
use guard_tests::{Cgroup, Folder, Storm, Witness};
use guard_userspace::model::status::TargetStatus;

use crate::scene::{expected, gauges, stopped};

/// Processes of one of the storm's trees: root, its shell, the server.
const TREE: u64 = 3;

/// A gateway that is known as one before it spawns so many trees, under this cap and with so many
/// slots for each. What the guard said while they were there, and what became of them.
fn trees(
    test: &str,
    cap: u64,
    slots: u64,
    number: u64,
) -> Result<(TargetStatus, Report, TargetStatus)> {
    let cgroup = Cgroup::new(test)?;
    let witness = Witness::watch(&cgroup)?;
    let (folder, number) = (Folder::new()?, number.to_string());
    let begin = folder.path().join("begin");
    let until = begin.display().to_string();
    let mut storm = Storm::start(
        &cgroup,
        &["--until", &until, "trees", &number, "--hold", "4000"],
    )?;
    let gate = format!(
        "max_processes = {cap}\nspawn_rate = 1000000\nspawn_burst = 1000000\ntree = {{ processes = {slots}, spawns = {slots}, settle = \"120s\" }}"
    );
    let guarded = Guarded::protecting(&cgroup, "storm .*trees", &gate)?;
    guarded.until("the storm is a gateway", |said| said.gateways.len() == 1)?;
    std::fs::write(&begin, "")?;
    let held = guarded.until("the trees are there", |said| {
        said.counts.spawns > 0
            && said.families.iter().map(|family| family.trees).sum::<u64>() > 0
            && said
                .families
                .iter()
                .all(|family| family.processes == TREE * family.trees)
            && said.counts.condemned_now == 0
    })?;
    storm.hear_all()?;
    let report = storm.report()?;
    let rest = guarded.agrees(&witness)?;
    same("gauges of an empty cgroup", gauges(&rest), [0; 4])?;
    same("trees left", rest.counts.trees, 0)?;
    guarded.agent.stop_cleanly()?;
    Ok((held, report, rest))
}

/// Five fit of twelve: their leaves say that they run, nobody else's root was let in, and no root
/// ended because it could not have its children.
pub fn whole_or_none() -> Result<()> {
    const FIT: u64 = 5;
    let (held, report, rest) = trees("trees", 1 + FIT * 4, 4, 12)?;
    same("whole trees", report.executed, FIT)?;
    same("half trees", report.failed, 0)?;
    same("trees", held.counts.trees, FIT)?;
    same("slots", held.committed, 1 + FIT * 4)?;
    same("unused", held.reserved, FIT)?;
    same("live at once", rest.counts.peak_live, 1 + FIT * TREE)?;
    stopped(&report, 12 - FIT, &rest.counts, 12 - FIT)
}

/// With two slots for each tree the third process asks: those that fit are there.
pub fn beyond_the_reservation() -> Result<()> {
    let (held, report, rest) = trees("beyond", 1 + 4 * TREE, 2, 4)?;
    same("whole trees", report.executed, 4)?;
    same("slots", held.committed, 1 + 4 * TREE)?;
    same("unused", held.reserved, 0)?;
    same(
        "refused",
        (report.refused, report.killed, report.failed),
        (0, 0, 0),
    )?;
    same("condemned", rest.counts.condemned, 0)?;
    same("mode", rest.mode.as_str(), expected()?.name())
}
