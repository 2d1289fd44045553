//! The gate: the cap, the rate, and what they never touch.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use guard_common::GateMode;
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{ONLY, SOON, cap};

use crate::scene::{Scene, expected, refuses, stopped};

/// How a second way of spawning is told to the storm; the first is fork.
const VFORK: &str = "--vfork";

pub fn cap_on_programs() -> Result<()> {
    const CAP: u64 = 20;
    let scene = Scene::set("execs", &cap(CAP))?;
    let report = scene.storm(&["execs", "400", "--hold", "3000"])?;
    same("executed beside their parent", report.executed, CAP - 1)?;
    let said = scene.at_rest()?;
    stopped(&report, 401 - CAP, &said.counts, 401 - CAP)?;
    let seen = scene.witness.counts()?;
    same("programs at once", seen.running_peak, CAP)?;
    same("programs in all", seen.ran, CAP)?;
    same("the guard's own peak", said.counts.peak_live, CAP)?;
    if refuses()? {
        same("bodies at once", seen.live_peak, CAP)?;
    }

    let report = scene.storm(&["execs", "100", "--hold", "1000", VFORK])?;
    same("executed by vfork", report.executed, CAP - 1)?;
    let said = scene.at_rest()?;
    stopped(&report, 101 - CAP, &said.counts, 502 - 2 * CAP)?;
    let seen = scene.witness.counts()?;
    same("programs at once", seen.running_peak, CAP)?;
    same("programs in all", seen.ran, 2 * CAP)?;
    scene.end()
}

/// One bomb forks only, the other's processes execute a program first.
pub fn doubling_bombs() -> Result<()> {
    const CAP: u64 = 20;
    let scene = Scene::set("bomb", &cap(CAP))?;
    let bounds = ["--seconds", "60", "--hold", "3000", "--attempts"];
    let report = scene.storm(&[&["bomb", "8"], &bounds[..], &["2000"]].concat())?;
    let said = scene.at_rest()?;
    let (counts, seen) = (&said.counts, scene.witness.counts()?);
    same("live at once", counts.peak_live, CAP)?;
    same("ended badly", report.failed, 0)?;
    same(
        "refused and killed, as the bomb saw it",
        (report.refused, report.killed),
        (counts.denied, counts.killed),
    )?;
    if refuses()? {
        same("bodies at once", seen.live_peak, CAP)?;
        same("made", report.made, counts.spawns)?;
        same("condemned", counts.condemned, 0)?;
        ensure!(counts.denied > CAP, "the bomb did not press: {counts:?}");
    } else {
        same("refused", counts.denied, 0)?;
        ensure!(counts.killed > CAP, "the bomb did not press: {counts:?}");
    }

    let before = counts.clone();
    scene.storm(&[&["programs", "8"], &bounds[..], &["50"]].concat())?;
    let counts = scene.at_rest()?.counts;
    let seen = scene.witness.counts()?;
    same("live at once", counts.peak_live, CAP)?;
    same("programs at once", seen.running_peak, CAP)?;
    let more = (
        counts.denied - before.denied,
        counts.condemned - before.condemned,
        counts.killed - before.killed,
    );
    let as_the_mode = match expected()? {
        GateMode::Lsm | GateMode::FmodRet => more.0 > 0 && (more.1, more.2) == (0, 0),
        GateMode::Deny => more.0 > 0 && more.0 == more.1 && more.2 == 0,
        _ => more.0 == 0 && more.1 > 0 && more.1 == more.2,
    };
    ensure!(as_the_mode, "{more:?}");
    scene.end()
}

pub fn threads_pass() -> Result<()> {
    let scene = Scene::set("threads", &cap(5))?;
    let report = scene.storm(&["threads", "2000"])?;
    same("made", (report.made, report.failed), (2_000, 0))?;
    let said = scene.at_rest()?;
    same("threads", said.counts.threads, 2_000)?;
    stopped(&report, 0, &said.counts, 0)?;
    scene.end()
}

/// The cap has room for 9 of 80 children: 71 would have been refused. Where only 5 of these 9 are
/// sure of a token, up to 75.
pub fn observe() -> Result<()> {
    let slow = "max_processes = 10\nspawn_rate = 1\nspawn_burst = 5";
    for (gate, would_refuse) in [(cap(10).as_str(), 71..=71), (slow, 71..=75)] {
        let scene = Scene::set_with("observe", gate, &["--observe"])?;
        let report = scene.storm(&["execs", "80", "--hold", "500"])?;
        same(
            "executed, refused, killed, failed",
            (
                report.executed,
                report.refused,
                report.killed,
                report.failed,
            ),
            (80, 0, 0, 0),
        )?;
        let counts = scene.at_rest()?.counts;
        same("live at once", counts.peak_live, 81)?;
        same(
            "denied, condemned, killed",
            (counts.denied, counts.condemned, counts.killed),
            (0, 0, 0),
        )?;
        ensure!(
            would_refuse.contains(&counts.would_refuse),
            "{gate}\nwould have refused {}, not {would_refuse:?}",
            counts.would_refuse
        );
        scene.end()?;
    }
    Ok(())
}

pub fn rate() -> Result<()> {
    const BURST: u64 = 40;
    const RATE: u64 = 4;
    let gate = format!("max_processes = 1000\nspawn_rate = {RATE}\nspawn_burst = {BURST}");
    let mut scene = Scene::set("rate", &gate)?;
    let began = Instant::now();
    let report = scene.storm(&["execs", "200", "--hold", "0"])?;
    let refilled = RATE * (began.elapsed().as_secs() + 1);
    let passed = report.executed;
    ensure!(
        (BURST..=BURST + refilled).contains(&passed),
        "{passed} of 200 passed a bucket of {BURST} that refills {RATE} a second"
    );
    let said = scene.at_rest()?;
    stopped(&report, 200 - passed, &said.counts, 200 - passed)?;
    let verdict = if refuses()? { "denied" } else { "condemned" };
    let breach = [("limit", "spawn_rate"), ("verdict", verdict)];
    scene.guarded.hears(ONLY, "breach", &breach)?;
    let said = scene.guarded.only()?;
    let storm = said.storm.context("the status knows no storm")?;
    same("who", (storm.comm.as_str(), storm.pid > 0), ("storm", true))?;
    same(
        "at",
        (storm.limit.as_str(), storm.verdict.as_str()),
        breach.map(|(_, is)| is).into(),
    )?;
    ensure!(storm.words.contains("What to do"), "{storm:?}");
    same("storms", said.storms.get("spawn_rate"), Some(&1))?;
    // It refills while nobody asks, and a refusal costs nothing.
    eventually("a spawn passes again", SOON, || {
        Ok(scene.storm(&["execs", "1", "--hold", "0"])?.executed == 1)
    })?;
    scene.at_rest()?;
    scene.end()
}
