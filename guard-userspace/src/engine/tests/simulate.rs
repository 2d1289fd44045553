//! Random histories of a container, with what must hold whatever happens. The seed is in each message.

use super::world::World;
use super::*;
use crate::config::checked::Pattern;
use crate::config::protocol::{Scope, Tiers};
use crate::model::dice::Dice;
use crate::model::evidence::{Ground, Writer, Zombies};

const FAMILIES: [&str; 6] = [
    "npx -y one",
    "npx -y two",
    "uvx three",
    "node four.js",
    "npx -y cheap",
    "npx -y precious",
];

/// Each permit is held against the invariants before it is carried out.
fn judge(world: &World, permit: &Permit) {
    let action = permit.action();
    match action {
        Action::End(ending) => judge_end(world, ending),
        Action::Do(doing) if doing.deed.restarts() => judge_restart(world),
        _ => {}
    }
}

fn is_strict(world: &World) -> bool {
    world.config().processes.as_ref().unwrap().strict
}

fn judge_end(world: &World, ending: &Ending) {
    let server = world.servers.get(&ending.tree).expect("it is there");
    let ground = ending.ground.expect("a ground");
    assert_ne!(server.kind, TreeKind::Open);
    assert!(!server.family.contains("precious"), "protected: {ending:?}");
    assert_eq!(ending.processes, server.used, "a whole tree");
    let (strict, level) = (is_strict(world), world.level());
    let pressed = world.state().pressed_ns().is_some();
    let is_dire = level >= Level::Emergency && pressed;
    let is_evidence = matches!(
        ground,
        Ground::Orphan | Ground::NoWriter | Ground::IdleDuplicate(_) | Ground::Zombies
    );
    assert!(
        is_evidence || is_dire || strict,
        "no evidence: {ending:?} at {level:?}"
    );
    let is_abandoned = server.orphan || server.writer == Writer::Gone;
    if server.kind == TreeKind::Guests {
        assert!(
            level >= Level::Critical && (is_abandoned || is_dire),
            "{ending:?} at {level:?}"
        );
        return;
    }
    assert!(!matches!(ground, Ground::Orphan | Ground::NoWriter) || is_abandoned);
    if matches!(ground, Ground::IdleDuplicate(_)) {
        assert!(!server.busy, "in use: {ending:?}");
    }
    let mut family = world.servers.iter().filter(|(_, one)| {
        one.kind == TreeKind::Tree && one.family == server.family && one.born_ns > server.born_ns
    });
    let all = strict && world.config().tiers.nuclear_monitor.scope == Scope::All;
    if !is_abandoned && !all {
        // Of those that were born in the same moment any is the youngest.
        let twins = world
            .servers
            .values()
            .filter(|one| one.family == server.family && one.born_ns == server.born_ns);
        assert!(
            family.next().is_some() || twins.count() > 1,
            "the youngest: {ending:?}"
        );
    }
    if !is_abandoned && !strict {
        assert!(
            world.now_ns >= server.born_ns + 20 * SECOND_NS,
            "it boots: {ending:?}"
        );
    }
    let since = world.now_ns.saturating_sub(60 * SECOND_NS);
    let before = world.did.iter().filter(|(at, _)| *at > since);
    let signalled: u64 = before
        .map(|(_, action)| match action {
            Action::End(ending) => ending.processes,
            _ => 0,
        })
        .sum();
    let most = world.config().end.max_kills_per_minute;
    assert!(
        signalled + ending.processes <= most,
        "{signalled} within a minute"
    );
}

fn judge_restart(world: &World) {
    assert!(
        world.state().pressed_ns().is_some() || is_strict(world),
        "a count alone"
    );
    let since = world.now_ns.saturating_sub(3_600 * SECOND_NS);
    let restarts = world.did.iter().filter(|(at, action)| {
        *at > since && matches!(action, Action::Do(doing) if doing.deed.restarts())
    });
    let restarts = restarts.count() as u64;
    assert!(
        restarts < world.config().restart.max_per_hour,
        "{restarts} within an hour"
    );
}

fn config(dice: &mut Dice, strict: bool) -> TargetConfig {
    let mut config = container(Profile::Metamcp);
    config.tiers = Tiers::default();
    config.protect = vec![Pattern::new("precious").unwrap()];
    config.expendable = vec![Pattern::new("cheap").unwrap()];
    config.allowed_instances = dice.within(1, 4);
    config.gate.max_processes = match dice.below(3) {
        0 => crate::config::Cap::Auto,
        _ => crate::config::Cap::Count(dice.within(40, 250)),
    };
    config.end.max_kills_per_minute = dice.within(20, 200);
    let tiers = &mut config.tiers;
    tiers.nuclear_monitor.scope = if dice.once_in(3) {
        Scope::All
    } else {
        Scope::Evidence
    };
    config.processes.as_mut().unwrap().strict = strict;
    config
}

/// What goes on in a second.
fn live(world: &mut World, storm: u64, sessions: &mut Vec<(u64, Vec<u64>)>) {
    let second = world.now_ns / SECOND_NS;
    let mut dice = Dice::new(world.dice.next());
    let family = |dice: &mut Dice| FAMILIES[dice.below(FAMILIES.len() as u64) as usize];
    if dice.once_in(25) {
        let ids: Vec<u64> = FAMILIES
            .iter()
            .filter_map(|name| world.open(name))
            .collect();
        for id in &ids {
            let server = world.servers.get_mut(id).unwrap();
            server.busy = dice.once_in(2);
            server.deaf = dice.once_in(9);
        }
        sessions.push((second + dice.wait(90), ids));
    }
    for _ in 0..storm {
        if dice.once_in(2)
            && let Some(id) = world.open(FAMILIES[0])
        {
            let server = world.servers.get_mut(&id).unwrap();
            server.busy = dice.once_in(6);
            server.orphan = dice.once_in(30);
        }
    }
    if dice.once_in(40) {
        let writer = [Writer::There, Writer::Gone, Writer::Unknown][dice.below(3) as usize];
        world.enter(writer);
    }
    if dice.once_in(60) {
        world.open(family(&mut dice));
    }
    if dice.once_in(120) {
        world.mb_per_process = [15, 21, 60, 17][dice.below(4) as usize];
    }
    if dice.once_in(150) {
        world.full_avg10 = [0, 0, 2_500][dice.below(3) as usize];
    }
    if dice.once_in(80) {
        let parent = ProcessKey {
            pid: 101,
            start_ticks: 101,
        };
        let (comm, count) = ("x".to_owned(), dice.below(60));
        world.zombies = vec![Zombies {
            parent,
            comm,
            count,
        }];
    }
    if dice.once_in(400) {
        // Whoever asked for them is gone.
        world.servers.values_mut().for_each(|one| one.orphan = true);
    }
    let (over, on) = std::mem::take(sessions)
        .into_iter()
        .partition(|(end, _)| *end <= second);
    *sessions = on;
    let over: Vec<(u64, Vec<u64>)> = over;
    over.into_iter()
        .flat_map(|(_, ids)| ids)
        .for_each(|id| world.close(id));
}

fn run(mode: Mode, strict: bool, seed: u64) -> World {
    let mut dice = Dice::new(seed);
    let mut world = World::new(mode, config(&mut dice, strict), seed);
    world.judge = judge;
    world.fails_once_in = [0, 8][dice.below(2) as usize];
    let (mut sessions, mut storm) = (Vec::new(), 0);
    for _ in 0..400 {
        if dice.once_in(60) {
            storm = [0, 0, 1, 8][dice.below(4) as usize];
        }
        live(&mut world, storm, &mut sessions);
        world.pass(1, 1);
    }
    for (_, ids) in sessions {
        ids.into_iter().for_each(|id| world.close(id));
    }
    world
}

/// A level is left no sooner than `clear_after` after it was asked for.
fn check_levels(world: &World) {
    let mut raised = None;
    let mut lines = 0;
    for (at, fact) in &world.said {
        if let FactKind::Level { from, to, .. } = fact {
            lines += 1;
            if to > from {
                raised = Some(*at);
            } else {
                let since = at - raised.expect("it rose before");
                assert!(since >= 60 * SECOND_NS, "{from:?} → {to:?} after {since}");
            }
        }
    }
    assert!(lines < 60, "{lines} level lines");
}

/// What was done, by name and ground.
fn check(mode: Mode, strict: bool, seed: u64) -> Vec<&'static str> {
    let caught = std::panic::catch_unwind(|| {
        let mut world = run(mode, strict, seed);
        if mode == Mode::Observe {
            assert_eq!(world.deeds(), [""; 0]);
            check_levels(&world);
            return Vec::new();
        }
        // The leak has stopped: nobody opens, nobody works, memory is what it was, and all succeeds.
        world.servers.values_mut().for_each(|one| one.busy = false);
        (world.mb_per_process, world.full_avg10, world.fails_once_in) = (15, 0, 0);
        world.pass(200, 2);
        let early = world.did.len();
        world.pass(4_600, 20);
        // What is no more than a warning is left to people.
        let (level, excess) = (world.level(), world.state().excess());
        assert!(
            level <= Level::Warning && excess < 30,
            "{excess}: {}",
            world.state().level_why()
        );
        let (opened, closed) = (
            world.facts("incident_opened"),
            world.facts("incident_closed"),
        );
        assert_eq!(
            opened.len() - closed.len(),
            usize::from(level == Level::Warning)
        );
        check_levels(&world);
        // Calm is calm: after the hour's idleness nothing is done any more.
        let all = world.did.len();
        world.pass(600, 20);
        let more = world
            .did
            .iter()
            .skip(all)
            .filter(|(_, one)| !one.is_bookkeeping());
        assert_eq!(more.count(), 0, "{early} {all}");
        let grounds = world.did.iter().filter_map(|(_, action)| match action {
            Action::End(ending) => ending.ground.map(Ground::name),
            _ => None,
        });
        grounds.chain(world.deeds()).collect()
    });
    caught.unwrap_or_else(|panic| {
        eprintln!("mode {mode:?}, strict {strict}, seed {seed}");
        std::panic::resume_unwind(panic)
    })
}

/// Histories in which nothing happens would prove nothing.
fn check_all(strict: bool, seeds: core::ops::Range<u64>, happened: &[&str]) {
    let done: std::collections::BTreeSet<_> = seeds
        .flat_map(|seed| check(Mode::Enforce, strict, seed))
        .collect();
    let missing: Vec<_> = happened
        .iter()
        .filter(|one| !done.contains(**one))
        .collect();
    assert!(missing.is_empty(), "none of {missing:?}, but {done:?}");
}

#[test]
fn random_histories_keep_to_the_invariants_and_end_calm() {
    let happened = [
        "orphan",
        "no_writer",
        "idle_duplicate",
        "storming",
        "guest",
        "end",
        "force",
        "restart",
        "nudge",
    ];
    check_all(false, 0..24, &happened);
}

#[test]
fn random_histories_with_strict_keep_to_the_invariants() {
    check_all(true, 100..112, &["count", "force", "restart"]);
}

#[test]
fn random_histories_in_observe_change_nothing() {
    for seed in 200..202 {
        check(Mode::Observe, seed % 2 == 0, seed);
    }
}
