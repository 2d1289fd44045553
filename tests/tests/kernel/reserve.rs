//! What is reserved for trees: raised for families that need more, taken back where room is short,
//! and never in the way of who forks.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY, SOON};
use guard_tests::{Actor, Cgroup, Storm, Witness};
use guard_userspace::model::status::TargetStatus;

use crate::scene::{adds_up, gauges, refuses, settles};

/// Longer than the `tree.settle` of these tests, by more than the agent takes to look at trees again.
const QUIET: Duration = Duration::from_millis(3_700);

/// A cap, with so many slots for each tree, and what more the gate is told.
fn gate(cap: u64, slots: u64, more: &str) -> String {
    format!(
        "max_processes = {cap}\nspawn_rate = 1000000\nspawn_burst = 1000000\n\
         tree = {{ processes = {slots}, spawns = 1, settle = \"2s\" }}\n{more}"
    )
}

/// A guarded cgroup in which an actor is a gateway by `protect`.
struct Scene {
    guarded: Guarded,
    witness: Witness,
    cgroup: Cgroup,
    actor: Actor,
}

impl Scene {
    fn set(test: &str, gate: &str, more: &str) -> Result<Self> {
        let cgroup = Cgroup::new(test)?;
        let witness = Witness::watch(&cgroup)?;
        let path = cgroup.path().display();
        let target = format!(
            "[[target]]\nname = \"{ONLY}\"\ncgroup = \"{path}\"\nprotect = ['^gate ']\n{more}\n\
             [target.gate]\n{gate}\n"
        );
        let mut guarded = Guarded::begin_config("info", &target, &[])?;
        guarded.ready(ONLY)?;
        let mut actor = Actor::start(&cgroup)?;
        actor.becomes("gate")?;
        guarded.until("the actor is a gateway", |said| {
            said.gateways.len() == 1 && said.committed == 1
        })?;
        Ok(Self {
            guarded,
            witness,
            cgroup,
            actor,
        })
    }

    /// Waits until so many live in so many trees, with so many slots in all, of which so many are
    /// not used.
    fn has(&self, what: &str, live: u64, trees: u64, slots: (u64, u64)) -> Result<TargetStatus> {
        self.guarded.until(what, |said| {
            (said.counts.live, said.counts.trees) == (live, trees)
                && (said.committed, said.reserved) == slots
        })
    }

    fn end(self) -> Result<()> {
        self.actor.end()?;
        nothing_is_left(&self.guarded, &self.witness)?;
        drop(self.cgroup);
        self.guarded.agent.stop_cleanly().map(drop)
    }
}

fn nothing_is_left(guarded: &Guarded, witness: &Witness) -> Result<()> {
    let said = guarded.agrees(witness)?;
    same("gauges of an empty cgroup", gauges(&said), [0; 4])?;
    same("trees left", said.counts.trees, 0)?;
    adds_up(&said.counts)
}

/// Three quiet trees keep their spare slots while the next one finds room. Where it does not, they
/// give back all but one, and it does.
pub fn settled() -> Result<()> {
    let mut scene = Scene::set("settled", &gate(20, 4, ""), "")?;
    for _ in 0..3 {
        scene.actor.whole_tree("small", 2)?;
    }
    scene.has("three trees", 7, 3, (13, 6))?;
    thread::sleep(QUIET);
    let said = scene.guarded.only()?;
    same(
        "slots while there is room",
        (said.committed, said.reserved),
        (13, 6),
    )?;
    scene.actor.whole_tree("small", 2)?;
    // Of the three each keeps one spare slot; the new one is not quiet, and then there is room.
    let after = (17 - 3, 3 + 2);
    scene.has("three gave back one slot each", 9, 4, after)?;
    scene.actor.whole_tree("small", 2)?;
    scene.end()
}

/// A family whose largest tree had six processes is given six slots at its next root's exec, as far
/// as others below `allowed_instances` leave room: the second `one` finds its two slots free.
pub fn raised() -> Result<()> {
    let gate = gate(21, 2, "");
    let mut scene = Scene::set("raised", &gate, "allowed_instances = 2")?;
    scene.actor.whole_tree("one", 2)?;
    scene.actor.whole_tree("big", 6)?;
    scene.has("two trees as large as they are", 9, 2, (9, 0))?;
    thread::sleep(QUIET);
    scene.actor.whole_tree("big", 1)?;
    scene.has("six slots for one process", 10, 3, (15, 5))?;
    scene.actor.whole_tree("big", 1)?;
    let four = (19, 5 + 3);
    scene.has("four for the next: two are another's", 11, 4, four)?;
    scene.actor.whole_tree("one", 2)?;
    let counts = scene.guarded.only()?.counts;
    same(
        "denied, condemned",
        (counts.denied, counts.condemned),
        (0, 0),
    )?;
    scene.end()
}

/// Ten were there under a cap of eight: nothing is reserved for them and nobody is let in, until
/// there is room again; then exactly as many as it is for.
pub fn over_the_cap() -> Result<()> {
    let cgroup = Cgroup::new("over")?;
    let witness = Witness::watch(&cgroup)?;
    let mut actor = Actor::start(&cgroup)?;
    let (four, _five) = (actor.fork(4)?, actor.fork(5)?);
    let guarded = Guarded::start(&cgroup, &gate(8, 4, ""), &[])?;
    let said = settles(&guarded, 10, 10)?;
    same("spare slots", said.reserved, 0)?;
    same("let in over the cap", actor.tree("more", 1)?.size, 0)?;
    settles(&guarded, 10, 10)?;
    same("its code", actor.ends(four)?.code, 0)?;
    settles(&guarded, 6, 6)?;
    for expected in [1, 1, 0] {
        same("let in", actor.tree("more", 1)?.size, expected)?;
    }
    let said = settles(&guarded, 8, 8)?;
    same("stopped", said.counts.denied + said.counts.killed, 2)?;
    actor.end()?;
    // The witness has seen what the guard was too late for.
    let said = guarded.until("all gone", |said| gauges(said) == [0; 4])?;
    same("trees left", said.counts.trees, 0)?;
    adds_up(&said.counts)?;
    same("the witness's", witness.counts()?.live, 0)?;
    guarded.agent.stop_cleanly().map(drop)
}

/// The third root of a family that may have two is without slots from its exec on. One of the two has
/// ended, and there may be another.
pub fn instances() -> Result<()> {
    let more = "max_instances = { \"leak\" = 2 }";
    let mut scene = Scene::set("instances", &gate(40, 4, more), "")?;
    let first = scene.actor.whole_tree("leak", 1)?;
    scene.actor.whole_tree("leak", 1)?;
    scene.actor.whole_tree("other", 1)?;
    scene.has("three trees", 4, 3, (13, 9))?;
    // On a slow machine its start alone may be more CPU time than it is allowed.
    let third = scene.actor.tree("leak", 1)?;
    let said = scene
        .guarded
        .until("and one without a slot", |said| said.counts.condemned == 1)?;
    let slots = (said.counts.live, said.counts.trees, said.committed);
    same("live, trees, slots", slots, (4, 3, 13))?;
    let why = [("action", "move"), ("reason", "max_instances")];
    scene.guarded.hears(ONLY, "decision", &why)?;
    if third.size > 0 {
        scene.actor.ends(third.pid)?;
    }
    scene.actor.ends(first)?;
    scene.has("two trees", 3, 2, (9, 6))?;
    scene.actor.whole_tree("leak", 1)?;
    let said = scene.has("three trees again", 4, 3, (13, 9))?;
    same("condemned in all", said.counts.condemned, 1)?;
    scene.end()
}

/// Forks on all CPUs by the members of one tree: within its reservation they need neither slots nor
/// tokens; beyond it they get those that there are.
pub fn contended() -> Result<()> {
    // Each fork would be refused that needed a token beyond the first eight.
    let within = "max_processes = 9\nspawn_rate = 1\nspawn_burst = 8\n\
                  tree = { processes = 8, spawns = 8, settle = \"120s\" }";
    let cgroup = Cgroup::new("within")?;
    let witness = Witness::watch(&cgroup)?;
    let guarded = Guarded::start(&cgroup, within, &[])?;
    let report = Storm::run(&cgroup, &["forks", "400", "--parallel", "4"])?;
    same(
        "made, refused, killed, failed",
        (report.made, report.refused, report.killed, report.failed),
        (400, 0, 0, 0),
    )?;
    nothing_is_left(&guarded, &witness)?;
    guarded.agent.stop_cleanly()?;

    const CAP: u64 = 12;
    const SLOTS: u64 = 8;
    let cgroup = Cgroup::new("beyond")?;
    let witness = Witness::watch(&cgroup)?;
    let guarded = Guarded::start(&cgroup, &gate(CAP, SLOTS, ""), &[])?;
    let mut actor = Actor::start(&cgroup)?;
    // Itself, its child, and the six that fork.
    actor.churn(SLOTS - 1)?;
    let pressed = |said: &TargetStatus| said.counts.denied + said.counts.condemned;
    eventually("they press", SOON, || {
        let said = guarded.only()?;
        ensure!(
            (SLOTS..=CAP).contains(&said.committed),
            "{} slots, of {CAP}",
            said.committed
        );
        Ok(pressed(&said) > 50 && said.counts.spawns > 200)
    })?;
    actor.end()?;
    nothing_is_left(&guarded, &witness)?;
    let most = guarded.only()?.counts.peak_live;
    same("most at once", most, CAP)?;
    if refuses()? {
        same("bodies at once", witness.counts()?.live_peak, CAP)?;
    }
    guarded.agent.stop_cleanly().map(drop)
}
