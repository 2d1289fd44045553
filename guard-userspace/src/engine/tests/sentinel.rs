//! What each tier does, and when it does nothing.

use super::world::World;
use super::*;
use crate::config::protocol::{Scope, Tiers};
use crate::model::evidence::Zombies;

pub(super) fn config() -> TargetConfig {
    let mut config = container(Profile::Metamcp);
    config.tiers = Tiers::default();
    config.gate.max_processes = crate::config::Cap::Count(400);
    // Said by its own trials.
    config.limits = None;
    config
}

/// So many servers of one family that nobody uses, a minute after the container's start.
fn leaked(mode: Mode, config: TargetConfig, servers: u64) -> World {
    let mut world = World::new(mode, config, 7);
    world.pass(30, 1);
    leak(&mut world, servers);
    world.pass(30, 1);
    world
}

fn leak(world: &mut World, servers: u64) -> Vec<u64> {
    let mut ids = Vec::new();
    for _ in 0..servers {
        ids.extend(world.open("npx -y leak"));
    }
    ids
}

fn count(world: &World, name: &str) -> usize {
    world.deeds().iter().filter(|one| **one == name).count()
}

/// A client asks on and on while its cap is reached.
fn insist(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.open("npx -y wanted");
        world.pass(1, 1);
    }
}

fn capped(cap: u64) -> TargetConfig {
    let mut config = config();
    config.gate.max_processes = crate::config::Cap::Count(cap);
    config
}

#[test]
fn at_the_cap_idle_servers_make_room_within_a_minute_and_no_more_than_that() {
    let mut world = leaked(Mode::Enforce, capped(60), 14);
    assert_eq!((world.deeds(), world.level()), (vec![], Level::Critical));
    let mut seconds = 0;
    while world.open("npx -y wanted").is_none() {
        seconds += 1;
        world.pass(1, 1);
    }
    // A quarter of a minute of idleness is enough once pressure has lasted for half of one.
    assert!((30..40).contains(&seconds), "{seconds}");
    world.pass(30, 1);
    let ended = count(&world, "end");
    // Half of a small cap is room: 28 slots, of which 3 were free.
    assert_eq!((ended, world.servers.len()), (7, 7));
    world.pass(300, 1);
    assert_eq!((world.level(), world.deeds().len()), (Level::Normal, 7));
    let how = world.facts("incident_closed");
    assert!(
        matches!(
            how.as_slice(),
            [FactKind::IncidentClosed {
                how: "cleanup",
                retired: 7,
                ..
            }]
        ),
        "{how:?}"
    );
}

#[test]
fn each_tier_has_its_switch() {
    let off = |switch: fn(&mut Tiers)| {
        let mut config = capped(60);
        switch(&mut config.tiers);
        let mut world = leaked(Mode::Enforce, config, 14);
        insist(&mut world, 60);
        count(&world, "end")
    };
    assert_eq!(off(|tiers| tiers.nuclear_monitor.on = false), 0);
    assert!(off(|tiers| tiers.resource_enforcer.on = false) > 0);
    // Memory: 92 % of 4 GiB; of eight servers four are more than healthy, and one is enough.
    let off = |switch: fn(&mut Tiers)| {
        let mut config = config();
        switch(&mut config.tiers);
        let mut world = leaked(Mode::Enforce, config, 8);
        world.mb_per_process = 158;
        world.pass(180, 1);
        count(&world, "end")
    };
    assert_eq!(off(|tiers| tiers.resource_enforcer.on = false), 0);
    assert_eq!(off(|tiers| tiers.nuclear_monitor.on = false), 1);
    let mut config = container(Profile::Metamcp);
    config.tiers = Tiers::default();
    config.tiers.startup_preventer.on = false;
    assert_eq!(leaked(Mode::Enforce, config, 1).deeds(), [""; 0]);
}

/// 8 GB, and nothing that could be ended for it.
pub(super) fn heavy(config: TargetConfig) -> World {
    let mut world = leaked(Mode::Enforce, config, 4);
    world.memory_limit = 64 << 30;
    world.mb_per_process = 1_000;
    world
}

#[test]
fn a_restart_comes_after_trees_were_tried_then_a_recreation_then_nothing() {
    let mut world = heavy(config());
    world.pass(29, 1);
    assert_eq!(world.deeds(), [""; 0], "trees are looked at first");
    let mut order = Vec::new();
    for _ in 0..3_000 {
        world.pass(1, 1);
        if world.servers.is_empty() {
            leak(&mut world, 4);
        }
        order = world.deeds();
    }
    assert_eq!(order, ["restart", "recreate"]);
    let is_third = |fact: &&&FactKind| matches!(fact, FactKind::Escalation { escalation: 3, why, .. } if why.contains("after a restart"));
    assert_eq!(world.facts("escalation").iter().filter(is_third).count(), 1);
    // The trees that were tried were in use, or young.
    let mut off = config();
    off.tiers.host_monitor.on = false;
    let mut world = heavy(off);
    world.pass(300, 1);
    assert_eq!(world.deeds(), [""; 0]);
}

#[test]
fn a_restart_that_fails_is_followed_by_a_recreation_after_a_while() {
    let mut world = heavy(config());
    world.fails_once_in = 1;
    let mut at = Vec::new();
    while at.len() < 2 {
        world.pass(1, 1);
        let deeds = world
            .did
            .iter()
            .filter(|(_, action)| matches!(action, Action::Do(_)));
        at = deeds
            .map(|(at, action)| (*at / SECOND_NS, action.name()))
            .collect();
    }
    let [(first, "restart"), (second, "recreate")] = at.as_slice() else {
        panic!("{at:?}")
    };
    assert!((60..=80).contains(&(second - first)), "{at:?}");
}

#[test]
fn no_more_restarts_than_the_hour_has() {
    let mut config = config();
    config.restart.max_per_hour = 1;
    let mut world = heavy(config);
    for _ in 0..600 {
        world.pass(1, 1);
        if world.servers.is_empty() {
            leak(&mut world, 4);
        }
    }
    assert_eq!(world.deeds(), ["restart"]);
}

#[test]
fn a_count_alone_restarts_nothing_but_with_strict_it_does() {
    let mut world = leaked(Mode::Enforce, config(), 40);
    assert_eq!(world.level(), Level::Nuclear);
    world.pass(600, 1);
    assert_eq!(world.deeds(), [""; 0], "nothing has been idle for an hour");
    let mut strict = config();
    strict.processes.as_mut().unwrap().strict = true;
    let mut world = leaked(Mode::Enforce, strict.clone(), 40);
    world.pass(60, 1);
    assert!(count(&world, "restart") == 1, "{:?}", world.deeds());
    // Between critical and nuclear: what is more than healthy, down to below warning.
    let mut world = leaked(Mode::Enforce, strict.clone(), 17);
    world.pass(60, 1);
    assert_eq!((count(&world, "restart"), count(&world, "end")), (0, 9));
    // The protocol to the letter: all of them.
    strict.tiers.nuclear_monitor.scope = Scope::All;
    let mut world = leaked(Mode::Enforce, strict, 17);
    world.pass(60, 1);
    assert_eq!((count(&world, "end"), world.servers.len()), (17, 0));
}

/// An explosion of 30 processes in 30 s and one of 10 trees a second, into idle servers.
#[test]
fn an_explosion_is_cleaned_up_and_the_gate_is_tightened_meanwhile() {
    for (per_second, every) in [(1, 3), (10, 1)] {
        let mut world = leaked(Mode::Enforce, capped(200), 4);
        let mut tightest = u64::MAX;
        for second in 0..240 {
            if second % every == 0 {
                leak(&mut world, per_second);
            }
            world.pass(1, 1);
            tightest = tightest.min(world.state().in_force().unwrap().max_processes);
        }
        assert_eq!(count(&world, "restart"), 0, "trees were enough");
        assert!(world.live() <= 200);
        assert!(tightest < 60, "{tightest}");
        // What came after it had been cleaned up is idle for an hour before it goes without pressure.
        world.pass(4_000, 5);
        let (level, excess) = (world.level(), world.state().excess());
        assert!(level <= Level::Warning && excess < 30, "{excess}");
        let cap = world.state().in_force().unwrap().max_processes;
        assert_eq!(cap, 200, "loosened");
        assert_eq!(world.facts("incident_opened").len(), 1);
    }
}

/// It says what it would do, of each tree once a minute, and no more trees than it would end.
#[test]
fn observe_does_nothing_and_does_not_flood() {
    let mut world = leaked(Mode::Observe, capped(200), 60);
    for _ in 0..120 {
        leak(&mut world, 1);
        world.pass(1, 1);
    }
    assert_eq!(world.deeds(), [""; 0]);
    let mut said = std::collections::BTreeMap::new();
    for (at, fact) in &world.said {
        let FactKind::Decision {
            action,
            refused: Some(why),
            ending,
            ..
        } = fact
        else {
            continue;
        };
        assert!(why.starts_with("observe"), "{why}");
        let tree = ending.as_ref().map(|ending| ending.tree);
        if let Some(last) = said.insert((*action, tree), *at) {
            assert!(
                at - last >= 59 * SECOND_NS,
                "{action} {tree:?} after {}",
                at - last
            );
        }
    }
    assert!(said.len() > 10 && said.len() < 170, "{}", said.len());
}

/// Limits once for each start, again after a while where Docker did not take them.
#[test]
fn docker_gets_its_limits_once_for_each_start() {
    let mut config = container(Profile::Metamcp);
    config.tiers.startup_preventer.on = true;
    let mut world = World::new(Mode::Enforce, config.clone(), 3);
    world.pass(600, 5);
    assert_eq!(world.deeds(), ["limit"]);
    let down = || InputKind::Down { why: String::new() };
    world.feed(down());
    world.feed(InputKind::Up {
        cgroup: CgroupId(1),
        path: String::new(),
        adopted: 0,
        inherited: None,
        from_birth: true,
        started_ns: world.now_ns,
    });
    world.pass(60, 5);
    assert_eq!(world.deeds(), ["limit", "limit"]);
    let mut world = World::new(Mode::Enforce, config.clone(), 3);
    world.fails_once_in = 1;
    world.pass(3_600, 5);
    // After 1, 2, 4, 8, 16, 32 minutes.
    assert_eq!(world.deeds().len(), 6);
    let mut world = World::new(Mode::Observe, config, 3);
    world.pass(3_600, 5);
    let limits = world.said.iter().filter(|(_, fact)| {
        matches!(
            fact,
            FactKind::Decision {
                action: "limit",
                ..
            }
        )
    });
    assert_eq!(limits.count(), 1);
}

#[test]
fn a_parent_is_reminded_of_its_zombies_once_a_minute_if_there_are_more() {
    let mut world = leaked(Mode::Enforce, config(), 1);
    let zombies = |count| Zombies {
        parent: ProcessKey {
            pid: 10,
            start_ticks: 10,
        },
        comm: "node".to_owned(),
        count,
    };
    for minute in 0..10 {
        world.zombies = vec![zombies(1 + minute.min(4))];
        world.pass(60, 1);
    }
    assert_eq!(count(&world, "nudge"), 5);
}

#[test]
fn a_look_that_comes_to_nothing_is_not_asked_for_at_once() {
    let mut world = leaked(Mode::Enforce, config(), 40);
    world.fails_once_in = 1;
    let looks = |world: &World| {
        world
            .did
            .iter()
            .filter(|(_, action)| *action == Action::Look)
            .count()
    };
    let before = looks(&world);
    world.pass(60, 1);
    let asked = looks(&world) - before;
    assert!((5..=12).contains(&asked), "{asked}");
}
