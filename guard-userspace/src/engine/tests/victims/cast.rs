//! Trees, and what is to be seen of them at the moment of the choice.

use crate::engine::tests::*;
use crate::model::evidence::{TreeEvidence, Writer, Zombies};
use crate::model::kin::{Found, Survey};
use crate::policy::victims::{self, Urgency, Want};
use guard_common::tree::{Place, Role};

/// When the choice is made.
pub const NOW: u64 = 20_000 * SECOND_NS;

/// A tree and what is to be seen of it. Times are seconds before the choice.
#[derive(Clone, Copy)]
pub struct One {
    pub id: u64,
    pub line: &'static str,
    pub born: u64,
    pub idle: u64,
    pub used: u64,
    pub memory: u64,
    pub writer: Writer,
    pub orphan: bool,
    pub kind: TreeKind,
    pub role: Role,
}

/// An old tree of one family that is in use.
pub const fn one(id: u64) -> One {
    One {
        id,
        line: "npx -y one",
        // The first is the oldest.
        born: 10_000 - id * 100,
        idle: 0,
        used: 3,
        memory: 100,
        writer: Writer::There,
        orphan: false,
        kind: TreeKind::Tree,
        role: Role::Member,
    }
}

/// The same, idle for so many seconds.
pub const fn idle(id: u64, idle: u64) -> One {
    One { idle, ..one(id) }
}

pub fn base() -> TargetConfig {
    let mut config = container(Profile::Metamcp);
    config.allowed_instances = 1;
    config
}

pub fn at(ns: u64, kind: InputKind) -> Input {
    Input {
        at: Stamp {
            boot_ns: ns,
            wall_ms: 0,
        },
        target: T,
        kind,
    }
}

pub fn key(pid: u32) -> ProcessKey {
    ProcessKey {
        pid,
        start_ticks: u64::from(pid),
    }
}

/// An engine to which all of that has happened.
pub fn engine(config: TargetConfig, trees: &[One], zombies: &[(u32, u64)]) -> Engine {
    let mut engine = Engine::new(Mode::Enforce);
    engine.watch(T, config);
    let seen: Vec<TreeSeen> = trees
        .iter()
        .map(|one| TreeSeen {
            used: one.used,
            reserved: 4,
            kind: one.kind,
            ..tree(one.id, NOW - one.born * SECOND_NS)
        })
        .collect();
    let found = |one: &One| Found {
        process: key(tree(one.id, 0).root),
        parent: 10,
        session: 1,
        argv: one.line.split_whitespace().map(str::to_owned).collect(),
        place: Place::new(one.role, one.id),
    };
    let survey = Survey {
        processes: trees.iter().map(found).collect(),
        trees: seen,
        init: None,
    };
    let early = NOW - 15_000 * SECOND_NS;
    for kind in [gate(GateMode::Kill), up(), InputKind::Surveyed(survey)] {
        engine.step(&at(early, kind));
    }
    // What is idle stands still from then on, what is not is busy until the last look.
    let mut looks: Vec<u64> = trees.iter().map(|one| one.idle).collect();
    looks.push(0);
    looks.sort_unstable();
    looks.dedup();
    for (turn, look) in looks.iter().rev().enumerate() {
        let of = |one: &One| TreeEvidence {
            tree: one.id,
            leaf_cpu_ns: if one.idle >= *look {
                1 << 40
            } else {
                turn as u64
            },
            memory_bytes: one.memory,
            writer: one.writer,
            orphan: one.orphan,
        };
        let zombies = zombies.iter().map(|(pid, count)| Zombies {
            parent: key(*pid),
            comm: "x".to_owned(),
            count: *count,
        });
        let evidence = Evidence {
            trees: trees.iter().map(of).collect(),
            zombies: zombies.collect(),
        };
        engine.step(&at(NOW - look * SECOND_NS, InputKind::Evidence(evidence)));
    }
    engine
}

pub const fn urgency(level: Level, pressed_s: Option<u64>) -> Urgency {
    Urgency {
        level,
        pressed_ns: match pressed_s {
            Some(ago) => Some(NOW - ago * SECOND_NS),
            None => None,
        },
        strict: false,
    }
}

pub const CALM: Urgency = urgency(Level::Critical, None);
pub const PRESSED: Urgency = urgency(Level::Critical, Some(1));
pub const DIRE: Urgency = urgency(Level::Emergency, Some(1));
pub const STRICT: Urgency = Urgency {
    strict: true,
    ..urgency(Level::Emergency, None)
};

pub fn chosen(engine: &Engine, urgency: Urgency, want: Want) -> Vec<Ending> {
    let target = engine.target(T).unwrap();
    let now = Stamp {
        boot_ns: NOW,
        wall_ms: 0,
    };
    victims::choose(&target.state, &target.config, now, urgency, want)
}

#[track_caller]
pub fn check_with(config: TargetConfig, trees: &[One], urgency: Urgency, expected: &[(u64, &str)]) {
    let chosen = chosen(&engine(config, trees, &[]), urgency, Want::ALL);
    let chosen: Vec<_> = chosen
        .iter()
        .map(|ending| (ending.tree, ending.ground.unwrap().name()))
        .collect();
    assert_eq!(chosen, expected);
}

#[track_caller]
pub fn check(trees: &[One], urgency: Urgency, expected: &[(u64, &str)]) {
    check_with(base(), trees, urgency, expected);
}
