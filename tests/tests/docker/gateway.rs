//! Twenty sessions leak behind a real gateway: counted, held, and the same with pids_limit.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::Parent;
use guard_tests::docker::gateway::Gateway;
use guard_tests::docker::storm::{self, Course};
use guard_tests::witness::Counts;

use crate::profile::GATE_ALONE;
use crate::scene::{Guard, OnStage, SOON, Seen, logged};
use crate::table::{self, Row};

const SESSIONS: usize = 20;
const ABREAST: usize = 3;
/// A client that has waited so long gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// A session's tree: the gateway's sh, npm exec, its sh, the server.
const TREE: u64 = 4;
/// The gateway and ten trees.
const CAP: u64 = 1 + 10 * TREE;
/// Slots below the cap that no server gets: the profile's.
const RESERVE: u64 = 4;
/// Room for the same in Docker's limit, which counts tasks: 11 of the gateway and 24 of each of ten
/// trees. Then a round number, which leaves room for a part of an eleventh.
const PIDS_LIMITS: [(&str, &str); 2] = [("251", "pids_limit 251"), ("256", "pids_limit 256")];

fn target(rest: &str) -> String {
    format!(
        "name = \"gateway\"\ncontainer = \"gateway\"\nprofile = \"metamcp\"\n{GATE_ALONE}\n{rest}"
    )
}

/// What must hold of any storm: the gateway lives and says so each time it is asked.
fn answered(gateway: &Gateway, course: &Course) -> Result<()> {
    ensure!(gateway.container.runs()?, "the gateway died: {course}");
    ensure!(
        course.health.failures.is_empty(),
        "health: {:?}",
        course.health.failures
    );
    ensure!(
        course.health.latencies.len() > 20,
        "health was hardly asked: {course}"
    );
    Ok(())
}

pub fn observed() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("observed")?;
    let witness = parent.witness()?;
    let mut guard = Guard::start(&stage.docker, &target(""), &["--observe"])?;
    let gateway = Gateway::start(&stage.docker, &stage.image, &parent, "gateway", &[])?;
    let armed = guard.nth("armed", "gateway", 1)?;
    same("from birth", &armed["from_birth"], &true.into())?;
    let course = storm::leak(&gateway, SESSIONS, ABREAST, PATIENCE)?;
    same(
        "sessions served",
        (course.served(), course.errors()),
        (SESSIONS, Vec::new()),
    )?;
    answered(&gateway, &course)?;
    guard.agrees("gateway", &witness)?;
    let (seen, counts) = (guard.seen("gateway")?, witness.counts()?);
    same(
        "live: the gateway and a tree for each session",
        seen.live,
        1 + TREE * SESSIONS as u64,
    )?;
    same(
        "live as docker top lists it",
        seen.live,
        gateway.container.top()?,
    )?;
    same(
        "tasks as docker stats counts them",
        seen.tasks,
        gateway.container.tasks()?,
    )?;
    keep_row("watched only", course, counts, &gateway, &parent)?;
    ends_with_all_logged(guard, gateway)
}

/// The container goes, the agent ends at once: the log's lines still add up to what was counted.
fn ends_with_all_logged(guard: Guard, gateway: Gateway) -> Result<()> {
    drop(gateway);
    let gone = || Ok(guard.seen("gateway").is_ok_and(|seen| seen.live == 0));
    eventually("all counted out again", SOON, gone)?;
    let counted = guard.seen("gateway")?.since(&Seen::default());
    let events = guard.agent.stop_cleanly()?;
    same(
        "spawns, threads, execs and exits in the log",
        logged(&events, "gateway"),
        counted,
    )
}

pub fn capped() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("capped")?;
    let witness = parent.witness()?;
    // The profile keeps four slots for the container's own wrappers, of which there are none.
    let gate = format!("[target.gate]\nmax_processes = {}", CAP + RESERVE);
    let mut guard = Guard::start(&stage.docker, &target(&gate), &[])?;
    let gateway = Gateway::start(&stage.docker, &stage.image, &parent, "gateway", &[])?;
    guard.nth("armed", "gateway", 1)?;
    let course = storm::leak(&gateway, SESSIONS, ABREAST, PATIENCE)?;
    let counts = witness.counts()?;
    ensure!(
        counts.running_peak <= CAP,
        "over the cap of {CAP}: {counts:?}; {course}"
    );
    // Whole trees or none: so many fit, and each of them serves.
    let fit = (CAP - 1) / TREE;
    same("served", course.served() as u64, fit)
        .with_context(|| format!("{counts:?}; {course}; {:?}", guard.target()))?;
    same("live at the end", counts.live, 1 + fit * TREE)?;
    answered(&gateway, &course)?;
    guard.agrees("gateway", &witness)?;
    keep_row("guard, 41 processes", course, counts, &gateway, &parent)?;
    ends_with_all_logged(guard, gateway)
}

/// No guard: what Docker's own limit does with the same storm. Nothing is asked of it but that it
/// is met; the table shows the difference.
pub fn pids_limit() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    for (limit, what) in PIDS_LIMITS {
        let parent = Parent::new("pids")?;
        let witness = parent.witness()?;
        let options = ["--pids-limit", limit];
        let gateway = Gateway::start(&stage.docker, &stage.image, &parent, "gateway", &options)?;
        let course = storm::leak(&gateway, SESSIONS, ABREAST, PATIENCE)?;
        ensure!(course.served() < SESSIONS, "never at its limit: {course}");
        let counts = witness.counts()?;
        ensure!(counts.tasks <= limit.parse()?, "over {limit}: {counts:?}");
        keep_row(what, course, counts, &gateway, &parent)?;
    }
    Ok(())
}

/// Into the table that is printed at the end.
fn keep_row(
    what: &'static str,
    course: Course,
    counts: Counts,
    gateway: &Gateway,
    parent: &Parent,
) -> Result<()> {
    // A leftover belongs to no session that works.
    let healthy = 1 + TREE * course.kept as u64;
    table::add(Row {
        what,
        left_over: counts.live.saturating_sub(healthy),
        course,
        counts,
        memory: parent.memory_peak()?,
        alive: gateway.container.runs()?,
    });
    Ok(())
}
