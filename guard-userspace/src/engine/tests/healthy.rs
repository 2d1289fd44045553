//! What is healthy brings no decision but bookkeeping and limits (workload.md, "Numbers for a policy").

use super::world::World;
use super::*;

const NAMES: [&str; 20] = [
    "npx -y a", "npx -y b", "npx -y c", "npx -y d", "npx -y e", "npx -y f", "npx -y g", "npx -y h",
    "npx -y i", "npx -y j", "npx -y k", "npx -y l", "npx -y m", "npx -y n", "npx -y o", "npx -y p",
    "npx -y q", "npx -y r", "npx -y s", "npx -y t",
];

fn config() -> TargetConfig {
    let mut config = container(Profile::Metamcp);
    config.tiers = crate::config::protocol::Tiers::default();
    config
}

/// A boot of so many servers at that many in a second.
fn boot(servers: usize, per_second: usize, memory_limit: u64) -> World {
    let mut world = World::new(Mode::Enforce, config(), 1);
    world.memory_limit = memory_limit;
    world.pass(3, 1);
    for batch in NAMES[..servers].chunks(per_second) {
        for name in batch {
            let id = world.open(name).unwrap();
            world.servers.get_mut(&id).unwrap().busy = true;
        }
        world.pass(1, 1);
    }
    world
}

/// Nothing was done but Docker's limits once, and nothing said that would wake anybody.
#[track_caller]
fn check(world: &World, what: &str) {
    assert_eq!(world.deeds(), ["limit"], "{what}");
    let loud = [
        "level",
        "breach",
        "trend",
        "leak",
        "cap_too_small",
        "incident_opened",
    ];
    for name in loud {
        assert_eq!(world.facts(name), Vec::<&FactKind>::new(), "{what}");
    }
    assert_eq!(world.refused, 0, "{what}");
}

/// On a fast machine all at once, on a slow one two in five seconds.
#[test]
fn a_healthy_boot_of_3_10_and_20_servers_is_let_be() {
    for servers in [3, 10, 20] {
        for per_second in [20, 2, 1] {
            let mut world = boot(servers, per_second, 4 << 30);
            world.pass(120, 1);
            for server in world.servers.values_mut() {
                server.busy = false;
            }
            world.pass(1_200, 5);
            check(&world, &format!("{servers} servers, {per_second} a second"));
            assert_eq!(world.facts("auto_cap").len(), 1);
            let good = world.state().good_start().unwrap();
            assert_eq!(good.live, 1 + 3 * servers as u64);
            assert_eq!(good.families.len(), servers);
        }
    }
}

/// 181 processes, an emergency by count: some of the five have been idle for half an hour. (They take 241
/// slots, for which 4 GiB are too little: the auto cap is 202 there.)
#[test]
fn five_live_sessions_of_ten_servers_lose_nothing_without_pressure() {
    let mut world = boot(10, 20, 8 << 30);
    world.pass(60, 1);
    for session in 0..5 {
        for name in &NAMES[..10] {
            let id = world.open(name).unwrap();
            world.servers.get_mut(&id).unwrap().busy = session < 2;
        }
        world.pass(20, 1);
    }
    let all = world.servers.len();
    world.pass(1_800, 5);
    assert_eq!((world.deeds(), world.servers.len()), (vec!["limit"], all));
    assert_eq!(world.level(), Level::Emergency, "the count alone");
    assert_eq!(world.refused, 0);
}

/// The default cap has room for them; one that is a little too small is said to be, and nobody ends.
#[test]
fn a_number_too_small_for_what_is_healthy_is_said_once() {
    let mut small = config();
    small.gate.max_processes = crate::config::Cap::Count(60);
    let mut world = World::new(Mode::Enforce, small, 1);
    for name in &NAMES[..10] {
        world.open(name).unwrap();
    }
    world.pass(300, 1);
    let said = world.facts("cap_too_small");
    let [
        FactKind::CapTooSmall {
            cap: 60,
            healthy: 41,
            enough: 85,
        },
    ] = said.as_slice()
    else {
        panic!("{said:?}")
    };
    // A session of ten: five find no room (a tree takes four slots), again and again for a minute.
    let mut opened = 0;
    for _ in 0..60 {
        opened += NAMES[..10]
            .iter()
            .filter(|name| world.open(name).is_some())
            .count();
        world.pass(1, 1);
    }
    assert!(opened < 10, "{opened}");
    world.pass(120, 1);
    assert_eq!(world.facts("cap_too_small").len(), 2, "once in the storm");
    assert_eq!(world.deeds(), ["limit"]);
}
