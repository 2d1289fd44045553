//! Nanoseconds in the kernel side's programs per process, beside programs that do nothing.

use anyhow::{Context, Result};
use guard_tests::Cgroup;
use guard_tests::bench::{Empty, Spent, Table, times};
use guard_tests::guarded::{Guarded, Target, WIDE};
use guard_userspace::kernel::stats::Timed;

/// Forks of one figure.
const FORKS: &str = "5000";
/// What a fork and an end run, once each.
const LIFE: [&str; 3] = ["task_newtask", "sched_process_fork", "sched_process_exit"];
/// As many as can be guarded at once.
const MANY: usize = 500;
/// Levels of cgroups below the target.
const DEPTH: usize = 5;

const LOOKS: &str = "each of the three programs looks its process up, among members and among those who went outside, where \
                     an empty one returns; beside the fork itself, 100 times as long, it is not seen";
const CACHES: &str = "a run with many targets stands later in its round than one with one, and what else the machine does in \
                      between falls on one of them: no program walks the targets";
const GATES: &str = "a fork asks the gate (slots and tokens of its tree, each by compare-and-exchange), makes an entry, and \
                     two records go through the ring buffer: the budget is without records, which cannot be switched off";

/// One round: empty programs, then the guard's with one target and with many.
pub fn round(table: &mut Table) -> Result<()> {
    let _timed = Timed::start().context("this kernel does not time its programs")?;
    let outside = Cgroup::new("bench-outside")?;
    let empty = {
        let programs = Empty::attach()?;
        let before = programs.spent()?;
        times(Some(&outside), &["forks", FORKS])?;
        programs.spent()?.since(&before, &LIFE)?
    };
    table.add("empty programs", "ns", empty, None);
    let one = costs(&outside, 1)?;
    let many = costs(&outside, MANY)?;
    table.add("not watched", "ns", one.unwatched, None);
    table.add("watched, with records", "ns", one.watched, None);
    for (event, of) in LIFE.into_iter().zip(one.unwatched_each) {
        table.add(&format!("{event}, not watched"), "ns", of, None);
    }
    for (event, of) in LIFE.into_iter().zip(one.watched_each) {
        table.add(&format!("{event}, watched"), "ns", of, None);
    }
    let nested = format!("watched, {DEPTH} cgroups deep");
    table.add(&nested, "ns", one.nested, None);
    table.add(
        &format!("not watched, {MANY} targets"),
        "ns",
        many.unwatched,
        None,
    );
    table.add(
        &format!("watched, {MANY} targets"),
        "ns",
        many.watched,
        None,
    );
    let against = |cost: f64, other: f64| cost / other;
    table.add(
        "not watched : empty",
        "x",
        against(one.unwatched, empty),
        Some(2.0),
    );
    table.add(
        "watched : empty",
        "x",
        against(one.watched, empty),
        Some(5.0),
    );
    table.because("not watched : empty", LOOKS);
    table.because("watched : empty", GATES);
    // As much as rounds differ from each other.
    let same = Some(1.1);
    let what = format!("not watched, {MANY} targets : 1");
    table.add(&what, "x", against(many.unwatched, one.unwatched), same);
    let what = format!("watched, {MANY} targets : 1");
    table.add(&what, "x", against(many.watched, one.watched), same);
    table.because(&what, CACHES);
    table.add(
        "watched, deep : flat",
        "x",
        against(one.nested, one.watched),
        same,
    );
    Ok(())
}

struct Costs {
    unwatched: f64,
    watched: f64,
    nested: f64,
    unwatched_each: [f64; 3],
    watched_each: [f64; 3],
}

/// Under an agent with so many targets, all but one of which are not there.
fn costs(outside: &Cgroup, targets: usize) -> Result<Costs> {
    let inside = Cgroup::new("bench-inside")?;
    let mut deep = Vec::new();
    for level in 1..=DEPTH {
        let above = deep.last().unwrap_or(&inside);
        deep.push(above.nested(&format!("level-{level}"))?);
    }
    let path = inside.path().display().to_string();
    let absent: Vec<(String, String)> = (1..targets)
        .map(|n| (format!("absent-{n}"), format!("{path}-absent-{n}")))
        .collect();
    let gate = WIDE;
    let mut all = vec![Target {
        name: "here",
        path: &path,
        gate,
    }];
    all.extend(
        absent
            .iter()
            .map(|(name, path)| Target { name, path, gate }),
    );
    let mut guarded = Guarded::begin_all("info", "", &all, &[])?;
    guarded.ready("here")?;
    let cost = |cgroup: &Cgroup| -> Result<[f64; 3]> {
        let before = Spent::by(&guarded.status()?);
        times(Some(cgroup), &["forks", FORKS])?;
        let after = Spent::by(&guarded.status()?);
        let mut each = [0.0; 3];
        for (ns, event) in each.iter_mut().zip(LIFE) {
            *ns = after.since(&before, &[event])?;
        }
        Ok(each)
    };
    let (unwatched_each, watched_each) = (cost(outside)?, cost(&inside)?);
    let nested = cost(deep.last().context("no depth")?)?;
    let costs = Costs {
        unwatched: unwatched_each.iter().sum(),
        watched: watched_each.iter().sum(),
        nested: nested.iter().sum(),
        unwatched_each,
        watched_each,
    };
    guarded.agent.stop_cleanly()?;
    // The inner ones first.
    while deep.pop().is_some() {}
    Ok(costs)
}
