//! What asks for which level, and what pressure is.

use super::world::World;
use super::*;
use crate::config::checked::Pattern;
use crate::config::protocol::Tiers;
use crate::policy::{level, pressure};

const GB: u64 = 1_000_000_000;

fn memory(bytes: u64, limit: Option<u64>, reclaimable: u64) -> InputKind {
    InputKind::Memory {
        bytes,
        limit,
        reclaimable,
    }
}

#[test]
fn memory_of_the_lower_limit_and_what_the_kernel_gives_back_does_not_count() {
    use Level::*;
    // (used, the kernel's limit, given back, level): of the configured 4 GiB.
    let four = 4 << 30;
    let rows = [
        (3 * four / 4, None, 0, Normal),
        (3 * four / 4 + 1, None, 0, Warning),
        (9 * four / 10 + 1, None, 0, Critical),
        (19 * four / 20 + 1, None, 0, Emergency),
        (8 * GB, None, 0, Emergency),
        (8 * GB + 1, None, 0, Nuclear),
        (8 * GB + 1, None, GB, Emergency),
        (four, Some(8 << 30), four / 4, Normal),
        (1 << 30, Some(1 << 30), 0, Emergency),
        (800 << 20, Some(1 << 30), 0, Warning),
    ];
    for (bytes, limit, reclaimable, expected) in rows {
        let mut scene = Scene::guarded(container(Profile::Metamcp));
        scene.feed(memory(bytes, limit, reclaimable));
        assert_eq!(
            scene.level(),
            expected,
            "{bytes} of {limit:?}, {reclaimable} given back"
        );
    }
}

#[test]
fn pressure_is_a_refusal_for_want_of_a_slot_or_memory_or_a_host_that_waits() {
    let pressed = |kind: InputKind, wait_ms| {
        let mut scene = Scene::guarded(container(Profile::Metamcp));
        scene.feed(kind);
        scene.wait_ms(wait_ms);
        scene.feed(InputKind::Tick);
        scene.engine.target(T).unwrap().state.pressed_ns().is_some()
    };
    let host = |full_avg10| InputKind::Pressure { full_avg10 };
    assert!(!pressed(InputKind::Tick, 0));
    assert!(pressed(breach(Limit::Processes), 4_999));
    assert!(!pressed(breach(Limit::Processes), 5_000));
    assert!(!pressed(breach(Limit::Rate), 0));
    assert!(!pressed(breach(Limit::Guests), 0));
    assert!(pressed(memory(3_900_000_000, None, 0), 60_000));
    assert!(!pressed(memory(3_300_000_000, None, 0), 0));
    assert!(pressed(host(1_000), 60_000));
    assert!(!pressed(host(999), 0));

    // Since when, and not of a target that is gone.
    let mut scene = Scene::guarded(container(Profile::Metamcp));
    scene.feed(host(5_000));
    let since = scene.now_ns;
    scene.wait_ms(9_000);
    scene.feed(InputKind::Tick);
    let state = |scene: &Scene| scene.engine.target(T).unwrap().state.pressed_ns();
    assert_eq!(state(&scene), Some(since));
    scene.feed(InputKind::Down { why: String::new() });
    assert_eq!(state(&scene), None);
}

#[test]
fn idleness_is_an_hour_two_minutes_or_fifteen_seconds() {
    let config = container(Profile::Metamcp);
    let check = |pressed: Option<u64>, seconds, expected| {
        let now = Stamp {
            boot_ns: seconds * SECOND_NS,
            wall_ms: 0,
        };
        let pressed = pressed.map(|second| second * SECOND_NS);
        let after = pressure::idle_after(pressed, &config, now);
        assert_eq!(after.as_secs(), expected);
    };
    check(None, 1_000, 3_600);
    check(Some(1_000), 1_000, 120);
    check(Some(1_000), 1_029, 120);
    check(Some(1_000), 1_030, 15);
}

/// A client that asks on and on, at a cap that servers in use fill but for one.
fn insisted(source: TargetSource, cap: u64) -> World {
    let mut config = container(Profile::Metamcp);
    config.source = source;
    config.protect = vec![Pattern::new("dist/index.js").unwrap()];
    config.tiers = Tiers::default();
    config.tiers.host_monitor.on = false;
    config.tiers.startup_preventer.on = false;
    config.gate.max_processes = crate::config::Cap::Count(cap);
    let mut world = World::new(Mode::Enforce, config, 5);
    world.pass(30, 1);
    let mut ids = Vec::new();
    while let Some(id) = world.open("npx -y busy") {
        world.servers.get_mut(&id).unwrap().busy = ids.len() > 1;
        ids.push(id);
        world.pass(1, 1);
    }
    for _ in 0..140 {
        if let Some(id) = world.open("npx -y busy") {
            world.servers.get_mut(&id).unwrap().busy = true;
        }
        world.pass(1, 1);
    }
    world
}

#[test]
fn refusals_after_a_cleanup_are_nuclear_only_with_critical_excess() {
    let docker = || TargetSource::Container("metamcp".to_owned());
    let world = insisted(docker(), 76);
    assert!(
        (30..51).contains(&world.state().excess()),
        "{}",
        world.state().excess()
    );
    assert!(world.deeds().contains(&"end"), "{:?}", world.deeds());
    assert_eq!(
        world.level(),
        Level::Nuclear,
        "{}",
        world.state().level_why()
    );
    assert!(world.state().level_why().contains("still being refused"));

    let world = insisted(docker(), 56);
    assert!(world.state().excess() < 30);
    assert!(world.deeds().contains(&"end"), "{:?}", world.deeds());
    assert_eq!(world.level(), Level::Critical);
    assert!(!world.facts("cap_too_small").is_empty());
}

#[test]
fn on_a_cgroup_nuclear_acts_as_an_emergency_does() {
    let mut world = insisted(TargetSource::Cgroup("/sys/fs/cgroup/x".into()), 76);
    assert_eq!(
        world.level(),
        Level::Nuclear,
        "{}",
        world.state().level_why()
    );
    world.pass(30, 1);
    let deeds = world.deeds();
    assert!(
        deeds.contains(&"force"),
        "what is in use ends too: {deeds:?}"
    );
    assert!(!deeds.contains(&"restart"));
}

#[test]
fn all_that_lives_is_too_many_where_nobody_is_a_gateway() {
    let mut config = container(Profile::Metamcp);
    config.source = TargetSource::Cgroup("/sys/fs/cgroup/x".into());
    let mut scene = Scene::guarded(config.clone());
    scene.live(26);
    assert_eq!(
        scene.level(),
        Level::Critical,
        "with the four that are healthy elsewhere"
    );
    let state = &scene.engine.target(T).unwrap().state;
    let (by_count, _) = level::by_count(state, &config, state.excess()).unwrap();
    assert_eq!(by_count, Level::Critical);
}

/// One more in 60 s: in ten minutes it is more than half of `warning`, and nothing else says so.
#[test]
fn growth_that_never_falls_is_a_warning_and_one_step_is_none() {
    let mut config = container(Profile::Metamcp);
    config.gate.max_processes = crate::config::Cap::Count(200);
    let growing = |every: u64, at_once: u64| {
        let mut world = World::new(Mode::Enforce, config.clone(), 5);
        for second in 0..900 {
            if second % every == 0 {
                for _ in 0..at_once {
                    let id = world.open("node leak.js").unwrap();
                    world.servers.get_mut(&id).unwrap().used = 1;
                }
            }
            world.pass(1, 1);
        }
        world
    };
    let world = growing(100, 1);
    assert_eq!(
        world.facts("trend").len(),
        0,
        "the four that are healthy come first"
    );
    let mut world = growing(60, 1);
    let level = world.level();
    assert_eq!(level, Level::Warning, "{}", world.state().excess());
    let said: Vec<_> = world.facts("trend").into_iter().cloned().collect();
    let [
        FactKind::Trend {
            seconds: 600,
            grown,
            to_cap_s: Some(left),
            ..
        },
    ] = said.as_slice()
    else {
        panic!("{said:?}")
    };
    assert!((8..15).contains(grown) && *left > 600, "{said:?}");
    world.pass(900, 5);
    assert_eq!(
        (world.level(), world.facts("trend").len()),
        (Level::Normal, 1)
    );
    let world = growing(901, 8);
    assert_eq!(
        (world.level(), world.facts("trend").len()),
        (Level::Normal, 0)
    );
}

#[test]
fn a_storm_of_leaks_says_how_fast_it_grows() {
    let mut config = container(Profile::Metamcp);
    config.gate.max_processes = crate::config::Cap::Count(400);
    let mut world = World::new(Mode::Enforce, config, 5);
    world.pass(60, 1);
    for _ in 0..60 {
        world.open("npx -y leak");
        world.pass(3, 1);
    }
    let whys: Vec<String> = world
        .facts("level")
        .into_iter()
        .map(|fact| format!("{fact:?}"))
        .collect();
    assert!(
        whys.iter().any(|why| why.contains("doubled every")),
        "{whys:?}"
    );
}

/// As the guard sees it, with its own cleanup at critical in between.
#[test]
fn the_leak_of_issue_162_is_named_with_its_command_line() {
    let mut config = container(Profile::Metamcp);
    config.tiers = Tiers::default();
    config.limits = None;
    let mut world = World::new(Mode::Enforce, config, 9);
    for _ in 0..12 * 60 / 31 {
        world.open("npx -y @scope/leak@1.2");
        world.pass(31 * 60, 20);
    }
    let said: Vec<_> = world.facts("leak").into_iter().cloned().collect();
    let [
        FactKind::Leak {
            family,
            command,
            per_day,
            max_instances: 4,
            ..
        },
    ] = said.as_slice()
    else {
        panic!("{said:?}")
    };
    assert_eq!(
        (family.as_str(), command.as_str()),
        ("npx @scope/leak", "npx -y @scope/leak@1.2")
    );
    assert!((40..52).contains(per_day), "{per_day}");
    assert!(world.level() >= Level::Warning);
}
