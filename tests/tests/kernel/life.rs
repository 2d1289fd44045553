//! The gate without its agent: kept, let go of, taken over, replaced, taken away.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData};
use guard_common::life::{MARK, Mark, Note};
use guard_common::{GateMode, ProcessEntry, TreeEntry};
use guard_tests::agent::{PINS, output};
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, Left, ONLY, SOON, Target, WIDE, cap};
use guard_tests::load::tally::Report;
use guard_tests::{Cgroup, Storm, Witness};
use guard_userspace::model::status::Counts;
use serde_json::Value;

use crate::scene::{STAYS, expected, gauges, refuses, settles};

/// How often the agent is killed, where that is not said: a machine with emulated CPUs takes seconds for
/// each start.
const KILLS: u32 = 50;

/// An agent that leaves its gate at work.
fn keeping(cgroup: &Cgroup, gate: &str) -> Result<Guarded> {
    leaving("on_agent_exit = \"keep\"", cgroup, gate)
}

fn leaving(head: &str, cgroup: &Cgroup, gate: &str) -> Result<Guarded> {
    let path = cgroup.path().display().to_string();
    let target = Target {
        name: ONLY,
        path: &path,
        gate,
    };
    let mut guarded = Guarded::begin_all("info", head, &[target], &[])?;
    guarded.ready(ONLY)?;
    Ok(guarded)
}

/// A field of a log line.
fn field(line: &Value, name: &str) -> Value {
    line.get(name).cloned().unwrap_or_default()
}

/// A map that is pinned.
fn pinned(name: &str) -> Result<MapData> {
    let path = Path::new(PINS).join(name);
    MapData::from_pin(&path).with_context(|| format!("the pinned map {name}"))
}

/// Entries of the maps that grow with processes, and what the sieve before them says.
fn entries() -> Result<[usize; 4]> {
    let processes: HashMap<_, u32, ProcessEntry> = Map::HashMap(pinned("PROCESSES")?).try_into()?;
    let trees: HashMap<_, u64, TreeEntry> = Map::HashMap(pinned("TREES")?).try_into()?;
    let sieve: Array<_, u64> = Map::Array(pinned("SIEVE")?).try_into()?;
    let pending: HashMap<_, u32, [u8; 32]> = Map::HashMap(pinned("PENDING")?).try_into()?;
    Ok([
        processes.keys().count(),
        trees.keys().count(),
        pending.keys().count(),
        sieve.iter().flatten().filter(|number| *number != 0).count(),
    ])
}

/// A storm goes on while its agent is killed and started again and again: the cap holds in between too,
/// no event is missed, and nothing is left in the maps.
pub fn killed_in_a_storm() -> Result<()> {
    const CAP: u64 = 8;
    const FORKERS: &str = "16";
    let kills = std::env::var("GUARD_KILLS").ok();
    let kills = kills.map_or(Ok(KILLS), |kills| kills.parse())?;
    let cgroup = Cgroup::new("killed-agents")?;
    let witness = Witness::watch(&cgroup)?;
    let mut guarded = keeping(&cgroup, &cap(CAP))?;
    let storm = Storm::start(&cgroup, &["forks", "10000000", "--parallel", FORKERS])?;
    let mut before = 0;
    for kill in 0..kills {
        thread::sleep(Duration::from_millis(50));
        let left = guarded.kill_and_leave()?;
        let spawned = witness.counts()?.spawns;
        eventually("the storm goes on without an agent", SOON, || {
            Ok(witness.counts()?.spawns > spawned)
        })?;
        if kill % 10 == 0 {
            let programs = Storm::run(&cgroup, &["execs", "20", "--hold", "100"])?;
            ensure!(programs.executed < CAP, "{programs:?}");
        }
        guarded = left.start()?;
        let counts = guarded.only()?.counts;
        ensure!(
            counts.spawns > before,
            "after kill {kill}: {} spawns, {before} before",
            counts.spawns
        );
        before = counts.spawns;
    }
    cgroup.kill()?;
    storm.killed()?;
    let said = guarded.agrees(&witness)?;
    same("gauges of an empty cgroup", gauges(&said), [0; 4])?;
    // Who enters from outside cannot be refused: one storm beside the other.
    let most = CAP + 1;
    ensure!(
        said.counts.peak_live <= most,
        "live at once: {:?}",
        said.counts
    );
    let stopped = said.counts.denied + said.counts.condemned;
    ensure!(stopped > 0, "the storm did not press: {:?}", said.counts);
    let seen = witness.counts()?;
    ensure!(seen.running_peak <= CAP, "programs at once: {seen:?}");
    if refuses()? {
        ensure!(seen.live_peak <= most, "bodies at once: {seen:?}");
    }
    eventually("nothing is left in the maps", SOON, || {
        Ok(entries()? == [0; 4])
    })?;
    guarded.agent.stop_cleanly().map(drop)
}

/// Stopped in good order it leaves its gate too, says how that refuses, and its slots, its bucket and
/// who holds them are there for the next one.
pub fn kept_and_taken_over() -> Result<()> {
    let cgroup = Cgroup::new("kept")?;
    let gate = "max_processes = 40\nspawn_rate = 1\nspawn_burst = 30";
    let guarded = keeping(&cgroup, gate)?;
    let mut storm = Storm::start(&cgroup, &["sleepers", "25", "--hold", STAYS])?;
    storm.ready()?;
    let before = settles(&guarded, 26, 26)?;
    let socket = guarded.socket.clone();
    let (left, said) = guarded.stop_and_leave()?;
    let kept = said.iter().find(|line| field(line, "event") == "kept");
    let mode = field(kept.context("it says that its gate stays")?, "mode");
    let alone = match expected()? {
        GateMode::Deny => GateMode::Kill,
        mode => mode,
    };
    same("how it refuses alone", mode.as_str(), Some(alone.name()))?;
    ensure!(
        !said.iter().any(|line| field(line, "event") == "disarmed"),
        "nothing is let go of"
    );

    let status = output(&["--socket", &socket, "status"])?;
    let words = String::from_utf8_lossy(&status.stderr).into_owned();
    same("status without an agent", status.status.code(), Some(4))?;
    let of = format!("by {}: {ONLY} 26 of 40 processes", alone.name());
    ensure!(words.contains(&of), "{words}");

    let mut guarded = left.start()?;
    let armed = guarded.hears(ONLY, "armed", &[])?;
    same(
        "inherited",
        field(&armed, "inherited").as_bool(),
        Some(true),
    )?;
    same("adopted", field(&armed, "adopted").as_u64(), Some(26))?;
    let after = settles(&guarded, 26, 26)?;
    same("spawns", after.counts.spawns, before.counts.spawns)?;
    same("entered", after.counts.entered, before.counts.entered)?;
    // 25 of 30 tokens are gone, and one comes back each second.
    let report = Storm::run(&cgroup, &["forks", "30"])?;
    let counts = guarded.only()?.counts;
    let stopped = counts.denied + counts.condemned;
    ensure!(
        stopped > 0,
        "the bucket was full again: {report:?} {counts:?}"
    );
    cgroup.kill()?;
    storm.killed()?;
    guarded.agent.stop_cleanly().map(drop)
}

/// `release`: it holds for as long as the agent may be away, then lets all pass; an agent that comes back
/// holds again.
pub fn released() -> Result<()> {
    const CAP: u64 = 5;
    let cgroup = Cgroup::new("released")?;
    let head = "on_agent_exit = \"release\"\nagent_timeout = \"2s\"";
    let guarded = leaving(head, &cgroup, &cap(CAP))?;
    let storm = |n: &str| Storm::run(&cgroup, &["execs", n, "--hold", "300"]);
    let stopped = |report: &Report| report.refused + report.killed;
    let report = storm("12")?;
    same("stopped beside an agent", stopped(&report), 13 - CAP)?;
    let left = guarded.kill_and_leave()?;
    let report = storm("12")?;
    same("stopped while it may come back", stopped(&report), 13 - CAP)?;
    eventually("all pass", SOON, || Ok(stopped(&storm("12")?) == 0))?;
    let words = output(&["--socket", "/nowhere", "status"])?.stderr;
    let words = String::from_utf8_lossy(&words).into_owned();
    ensure!(words.contains("lets all pass"), "{words}");
    let guarded = left.start()?;
    let report = storm("12")?;
    same("stopped beside the next agent", stopped(&report), 13 - CAP)?;
    let observed = guarded.only()?.counts.would_refuse;
    ensure!(
        observed >= 13 - CAP,
        "{observed} let through and not counted"
    );
    guarded.agent.stop_cleanly()?;
    ensure!(!Path::new(PINS).exists(), "something is left");
    Ok(())
}

/// What another build has left holds until its successor does, which adopts what runs. Where its maps are
/// laid out as ours, its totals go on, and no second of them is told as news.
pub fn of_another_version() -> Result<()> {
    for layout in [0, 1] {
        another_version(layout).with_context(|| format!("another layout: {layout}"))?;
    }
    Ok(())
}

fn another_version(layout: u64) -> Result<()> {
    let cgroup = Cgroup::new("version")?;
    let guarded = keeping(&cgroup, &cap(12))?;
    Storm::run(&cgroup, &["forks", "300"])?;
    let mut storm = Storm::start(&cgroup, &["sleepers", "9", "--hold", STAYS])?;
    storm.ready()?;
    let before = settles(&guarded, 10, 10)?.counts;
    let left = guarded.kill_and_leave()?;
    let mut notes: Array<_, Note> = Map::Array(pinned("NOTES")?).try_into()?;
    let mut mark: Mark = notes.get(&MARK, 0)?.read();
    mark.layout += layout;
    mark.object ^= 1;
    notes.set(MARK, Note::of(&mark), 0)?;

    let mut guarded = left.start()?;
    let replacing = guarded.agent.wait_for("replacing", SOON, |_| true)?;
    let goes_on = field(&replacing, "counts_go_on");
    same("counts go on", goes_on.as_bool(), Some(layout == 0))?;
    guarded.agent.wait_for("replaced", SOON, |_| true)?;
    let said = settles(&guarded, 10, 10)?.counts;
    let sum = |counts: &Counts| [counts.spawns, counts.exits, counts.entered, counts.left];
    let [spawns, exits, entered, gone] = if layout == 0 { sum(&before) } else { [0; 4] };
    // Those who live have left the one and entered the other.
    let out = if layout == 0 { 10 } else { 0 };
    let expected = [spawns, exits, entered + 10, gone + out];
    same("spawns, exits, entered, left", sum(&said), expected)?;
    let report = Storm::run(&cgroup, &["execs", "6", "--hold", "300"])?;
    same("let in", report.executed, 1)?;
    let rates = guarded.agent.events().into_iter();
    let rates = rates.filter(|line| field(line, "event") == "spawn_rate");
    let told = rates
        .filter_map(|line| field(&line, "spawns").as_u64())
        .max();
    ensure!(
        told < Some(300),
        "an earlier agent's spawns are told as news: {told:?}"
    );
    let aside = format!("{PINS}-earlier");
    ensure!(
        !Path::new(&aside).exists(),
        "the earlier gate is still there"
    );
    cgroup.kill()?;
    storm.killed()?;
    guarded.agent.stop_cleanly().map(drop)
}

/// A folder in which something is missing, or is something else, is taken away and made anew.
pub fn half_made() -> Result<()> {
    for (spoil, because) in [
        ("link_cgroup_mkdir", "cgroup_mkdir"),
        ("CGROUPS", "CGROUPS"),
        ("NOTES", "mark"),
    ] {
        let cgroup = Cgroup::new("half")?;
        let guarded = keeping(&cgroup, &cap(8))?;
        let left = guarded.kill_and_leave()?;
        fs::remove_file(Path::new(PINS).join(spoil))?;
        if spoil == "CGROUPS" {
            // One of another kind in its place.
            pinned("GATES")?.pin(Path::new(PINS).join(spoil))?;
        }
        let mut guarded = left.start()?;
        let why = guarded.agent.wait_for("replaced", SOON, |_| true)?;
        let why = field(&why, "why").to_string();
        ensure!(why.contains(because), "{spoil}: {why}");
        let report = Storm::run(&cgroup, &["execs", "12", "--hold", "300"])?;
        same("let in", report.executed, 7)?;
        guarded.agent.stop_cleanly()?;
    }
    Ok(())
}

/// `disarm`: of one target, of all with an agent, and without one.
pub fn disarmed() -> Result<()> {
    const CAP: u64 = 5;
    let (one, two) = (Cgroup::new("disarmed")?, Cgroup::new("held")?);
    let paths = [&one, &two].map(|cgroup| cgroup.path().display().to_string());
    let gate = cap(CAP);
    let [first, second] = &paths;
    let of = |path, name| Target {
        name,
        path,
        gate: &gate,
    };
    let head = "on_agent_exit = \"keep\"";
    let mut guarded =
        Guarded::begin_all("info", head, &[of(first, "one"), of(second, "two")], &[])?;
    guarded.ready("one")?;
    guarded.ready("two")?;
    let socket = guarded.socket.clone();
    let disarm = |arguments: &[&str]| -> Result<String> {
        let asked = output(&[&["--socket", &socket, "disarm"], arguments].concat())?;
        let said = String::from_utf8_lossy(&[asked.stdout, asked.stderr].concat()).into_owned();
        ensure!(asked.status.success(), "disarm {arguments:?}: {said}");
        Ok(said)
    };
    let let_in = |cgroup: &Cgroup| -> Result<u64> {
        Ok(Storm::run(cgroup, &["execs", "12", "--hold", "300"])?.executed)
    };
    disarm(&["one", "--dry-run"])?;
    same("after a dry run", let_in(&one)?, CAP - 1)?;
    disarm(&["one"])?;
    same("where it is disarmed", let_in(&one)?, 12)?;
    same("where it is not", let_in(&two)?, CAP - 1)?;
    let unknown = output(&["--socket", &socket, "disarm", "three"])?;
    same("no such target", unknown.status.code(), Some(4))?;
    disarm(&[])?;
    let ended = guarded.agent.wait(SOON)?;
    ensure!(ended.success(), "the agent ended with {ended}");
    ensure!(!Path::new(PINS).exists(), "something is left");
    same("without a gate", let_in(&two)?, 12)?;

    let guarded = keeping(&two, &cap(CAP))?;
    let left: Left = guarded.kill_and_leave()?;
    same("without an agent", let_in(&two)?, CAP - 1)?;
    disarm(&["--dry-run"])?;
    ensure!(Path::new(PINS).exists(), "a dry run took it away");
    disarm(&[])?;
    ensure!(!Path::new(PINS).exists(), "something is left");
    eventually("all pass", SOON, || Ok(let_in(&two)? == 12))?;
    drop(left);
    Ok(())
}

/// An agent that is to observe takes away what an enforcing one has left, and leaves nothing itself.
pub fn observed_afterwards() -> Result<()> {
    let cgroup = Cgroup::new("observed")?;
    let left = keeping(&cgroup, &cap(5))?.kill_and_leave()?;
    let mut guarded = left.begin(&["--observe"])?;
    guarded.hears(ONLY, "armed", &[])?;
    let report = Storm::run(&cgroup, &["execs", "12", "--hold", "300"])?;
    same("let in", report.executed, 12)?;
    ensure!(!Path::new(PINS).exists(), "it pins something");
    guarded.agent.stop_cleanly().map(drop)
}

/// Two targets swap nothing: each has the slot that its name had, whatever the order of the config, and
/// one that is configured no more is let go of.
pub fn by_name() -> Result<()> {
    let (one, two) = (Cgroup::new("first")?, Cgroup::new("second")?);
    let paths = [&one, &two].map(|cgroup| cgroup.path().display().to_string());
    let [first, second] = &paths;
    let of = |path, name| Target {
        name,
        path,
        gate: WIDE,
    };
    let head = "on_agent_exit = \"keep\"";
    let start = |targets: &[Target<'_>]| -> Result<Guarded> {
        let mut guarded = Guarded::begin_all("info", head, targets, &[])?;
        for target in targets {
            guarded.hears(target.name, "armed", &[])?;
        }
        Ok(guarded)
    };
    let guarded = start(&[of(first, "one"), of(second, "two")])?;
    Storm::run(&one, &["forks", "30"])?;
    Storm::run(&two, &["forks", "70"])?;
    guarded.until_of("two", "70 spawns", |said| said.counts.spawns == 70)?;
    guarded.kill_and_leave()?.forget();
    let mut guarded = start(&[of(second, "two")])?;
    guarded
        .agent
        .wait_for("disarmed", SOON, |line| field(line, "target") == "one")?;
    same("spawns of two", guarded.target("two")?.counts.spawns, 70)?;
    Storm::run(&one, &["forks", "5"])?;
    guarded.kill_and_leave()?.forget();
    let guarded = start(&[of(second, "two"), of(first, "one")])?;
    same("spawns of two", guarded.target("two")?.counts.spawns, 70)?;
    same("spawns of one", guarded.target("one")?.counts.spawns, 30)?;
    guarded.agent.stop_cleanly().map(drop)
}
