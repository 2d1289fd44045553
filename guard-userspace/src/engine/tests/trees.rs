//! Roles, families, reservations and the cap that memory carries: what the engine makes of a
//! gateway's life.

use super::*;
use crate::model::input::Inherited;
use crate::model::kin::Birth;
use guard_common::tree::force::Post;
use guard_common::tree::{Place, Role};
use std::collections::BTreeSet;

/// A guarded container in which pid 10 is a gateway.
fn gateway(config: TargetConfig) -> Scene {
    let mut scene = Scene::guarded(config);
    scene.feed(spawned(10, 0, Place::new(Role::Wrapper, 0), Birth::Entered));
    let permits = scene.permitted(execed(10, "node dist/index.js"));
    let [Action::Role { process, role, .. }] = permits.as_slice() else {
        panic!("{permits:?}")
    };
    assert_eq!((process.pid, *role), (10, Role::Gateway));
    scene.placed(10, Place::new(Role::Gateway, 0));
    scene
}

fn key(pid: u32) -> ProcessKey {
    ProcessKey {
        pid,
        start_ticks: u64::from(pid),
    }
}

fn spawned(pid: u32, parent: u32, place: Place, birth: Birth) -> InputKind {
    InputKind::Spawned {
        process: key(pid),
        parent,
        comm: "node".to_owned(),
        place,
        birth,
    }
}

fn execed(pid: u32, line: &str) -> InputKind {
    let argv = line.split(' ').map(str::to_owned).collect();
    let process = key(pid);
    InputKind::Execed { process, argv }
}

fn sized(id: u64, used: u64, reserved: u64, active_ns: u64) -> TreeSeen {
    TreeSeen {
        used,
        reserved,
        active_ns,
        ..tree(id, active_ns)
    }
}

impl Scene {
    /// The actions that this input brings.
    fn permitted(&mut self, kind: InputKind) -> Vec<Action> {
        let before = self.permits.len();
        self.feed(kind);
        let new = self.permits.iter().skip(before);
        new.map(|permit| permit.action().clone()).collect()
    }

    fn placed(&mut self, pid: u32, place: Place) {
        self.feed(InputKind::Outcome(Outcome {
            action: "role",
            limits: None,
            place: Some(Placed {
                process: key(pid),
                place,
                is_root: false,
            }),
            ended: None,
            did: None,
            kind: OutcomeKind::Done,
        }));
    }

    /// A root of tree `id`, as pid 100 + id, has executed that.
    fn root(&mut self, id: u64, line: &str) -> Vec<Action> {
        let pid = tree(id, 0).root;
        self.feed(spawned(pid, 10, Place::new(Role::Member, id), Birth::Root));
        self.permitted(execed(pid, line))
    }
}

#[test]
fn a_child_that_was_faster_than_the_agents_word_is_a_root() {
    let mut scene = Scene::guarded(container(Profile::Metamcp));
    scene.feed(spawned(10, 0, Place::new(Role::Wrapper, 0), Birth::Entered));
    scene.feed(execed(10, "node dist/index.js"));
    scene.wait_ms(1);
    let child = spawned(11, 10, Place::new(Role::Wrapper, 0), Birth::Forked);
    assert_eq!(scene.permitted(child), [], "its parent is a wrapper still");
    scene.placed(10, Place::new(Role::Gateway, 0));
    let moved = scene.permitted(InputKind::Tick);
    let (process, post) = (key(11), Post::Root);
    assert!(
        scene
            .permits
            .iter()
            .any(|permit| *permit.action() == Action::Move { process, post }),
        "{moved:?}"
    );
}

#[test]
fn a_record_from_before_a_survey_says_nothing_new() {
    let mut scene = gateway(container(Profile::Metamcp));
    scene.feed(spawned(10, 0, Place::new(Role::Member, 7), Birth::Entered));
    let kin = scene.engine.target(T).unwrap().state.kin();
    assert_eq!(kin.get(10).unwrap().place.role(), Role::Gateway);
    assert!(!kin.get(10).unwrap().argv.is_empty());
}

#[test]
fn no_more_than_sixteen_gateways_live_at_a_time() {
    let mut scene = gateway(container(Profile::Metamcp));
    for pid in 11..40 {
        scene.feed(spawned(pid, 1, Place::new(Role::Wrapper, 0), Birth::Forked));
        let made = scene.permitted(execed(pid, "node other.js"));
        assert_eq!(made.len(), usize::from(pid < 26), "{pid}");
        if pid < 26 {
            scene.placed(pid, Place::new(Role::Gateway, 0));
        }
    }
    let ended = |pid| InputKind::Exited {
        process: key(pid),
        status: 0,
    };
    scene.feed(ended(11));
    scene.feed(spawned(50, 1, Place::new(Role::Wrapper, 0), Birth::Forked));
    assert_eq!(scene.permitted(execed(50, "node other.js")).len(), 1);
}

/// All in one step, as a survey finds them; and one after the other.
#[test]
fn protect_makes_no_more_than_sixteen_gateways_and_that_is_said_once() {
    use crate::config::checked::Pattern;
    use crate::model::kin::{Found, Survey};
    let protected = || {
        let mut config = container(Profile::Metamcp);
        config.source = TargetSource::Cgroup("/sys/fs/cgroup/x".into());
        config.protect = vec![Pattern::new("^gate ").unwrap()];
        Scene::guarded(config)
    };
    let full = |facts: &[FactKind]| {
        names(facts)
            .iter()
            .filter(|name| **name == "gateways_full")
            .count()
    };
    let gateways = |scene: &Scene| {
        let is = |permit: &&Permit| matches!(permit.action(), Action::Protect { .. });
        let asked = scene.permits.iter().filter(is);
        let pids: BTreeSet<String> = asked.filter_map(|one| one.action().in_words()).collect();
        pids.len()
    };

    let mut scene = protected();
    let found = |id: u64| Found {
        process: key(tree(id, 0).root),
        parent: 1,
        session: 1,
        argv: vec!["gate".to_owned(), "x".to_owned()],
        place: Place::new(Role::Member, id),
    };
    let survey = Survey {
        processes: (1..=18).map(found).collect(),
        trees: (1..=18).map(|id| tree(id, 0)).collect(),
        init: None,
    };
    let facts = scene.feed(InputKind::Surveyed(survey));
    assert_eq!((gateways(&scene), full(&facts)), (16, 1));

    let mut scene = protected();
    let mut said = 0;
    for id in 1..=18 {
        let pid = tree(id, 0).root;
        scene.feed(spawned(pid, 0, Place::new(Role::Member, id), Birth::Root));
        said += full(&scene.feed(execed(pid, "gate x")));
        if id <= 16 {
            scene.placed(pid, Place::new(Role::Gateway, id));
        }
    }
    assert_eq!((gateways(&scene), said), (16, 1));
    let kin = scene.engine.target(T).unwrap().state.kin();
    let family = |id| kin.get(tree(id, 0).root).unwrap().family.as_deref();
    assert_eq!(
        (family(16), family(17)),
        (None, Some("gate")),
        "a root like any other"
    );
}

#[test]
fn a_family_that_needs_more_is_given_more_at_its_next_start() {
    let mut scene = gateway(container(Profile::Metamcp));
    assert_eq!(scene.root(1, "npx -y browser@1.2"), []);
    let born_ns = scene.now_ns;
    scene.wait_ms(30_000);
    scene.feed(InputKind::Trees {
        seen: vec![sized(1, 12, 4, born_ns)],
        committed: 13,
    });
    let raised = scene.root(2, "npx -y browser@1.3");
    assert!(
        matches!(
            raised.as_slice(),
            [Action::Raise {
                tree: 2,
                peak: 12,
                ..
            }]
        ),
        "{raised:?}"
    );
    assert_eq!(scene.root(3, "npx -y other"), [], "another family");
}

/// Before it may be settled, which goes by how large its family usually is.
#[test]
fn a_tree_has_its_size_when_it_may_be_settled() {
    let noted = |settle_s, quiet_ms| {
        let mut config = container(Profile::Metamcp);
        config.gate.tree.settle = core::time::Duration::from_secs(settle_s);
        let mut scene = gateway(config);
        scene.root(1, "npx -y browser");
        let born_ns = scene.now_ns;
        scene.wait_ms(quiet_ms);
        scene.feed(InputKind::Trees {
            seen: vec![sized(1, 6, 4, born_ns)],
            committed: 7,
        });
        let trees = scene.engine.target(T).unwrap().state.trees();
        trees.sizes("npx browser").and_then(|sizes| sizes.peak())
    };
    assert_eq!(noted(120, 19_999), None);
    assert_eq!(noted(120, 20_000), Some(6));
    assert_eq!(noted(5, 4_999), None);
    assert_eq!(noted(5, 5_000), Some(6));
}

#[test]
fn spare_slots_are_taken_back_only_while_room_is_short() {
    let mut config = container(Profile::Metamcp);
    config.gate.max_processes = crate::config::Cap::Count(45);
    let mut scene = gateway(config);
    for id in 1..=10 {
        scene.root(id, "node server.js");
    }
    let born_ns = scene.now_ns;
    let trees = |scene: &mut Scene, committed: u64| {
        let second = scene.now_ns / SECOND_NS;
        let counters = TargetCounters {
            live: 11,
            spawns: scene.now_ns,
            ..Default::default()
        };
        scene.feed(InputKind::Rate {
            second,
            committed,
            counters,
        });
        let seen = (1..=10).map(|id| sized(id, 1, 4, born_ns)).collect();
        scene.permitted(InputKind::Trees { seen, committed })
    };
    let settled = |actions: Vec<Action>| {
        let is = |action: &&Action| matches!(action, Action::Settle { .. });
        actions.iter().filter(is).count()
    };
    scene.wait_ms(119_000);
    assert_eq!(
        settled(trees(&mut scene, 41)),
        0,
        "not quiet for long enough"
    );
    scene.wait_ms(1_000);
    assert_eq!(settled(trees(&mut scene, 30)), 0, "there is room");
    assert_eq!(settled(trees(&mut scene, 41)), 10);
    // What that freed is in no sample: nothing happened there.
    let seen = (1..=10).map(|id| sized(id, 1, 4, born_ns)).collect();
    let looked = InputKind::Trees {
        seen,
        committed: 31,
    };
    assert_eq!(settled(scene.permitted(looked)), 0, "there is room again");
}

#[test]
fn a_tree_beyond_max_instances_is_without_slots_and_observe_lets_it_be() {
    for (mode, condemned) in [(Mode::Enforce, 1), (Mode::Observe, 0)] {
        let mut config = container(Profile::Metamcp);
        config
            .gate
            .max_instances
            .insert("server-memory".to_owned(), 2);
        let mut scene = Scene::new(mode, config);
        let line = "npx -y @modelcontextprotocol/server-memory";
        assert_eq!(scene.root(1, line), []);
        assert_eq!(scene.root(2, line), []);
        let third = scene.root(3, line);
        assert_eq!(third.len(), condemned, "{mode:?}: {third:?}");
    }
}

#[test]
fn the_auto_cap_is_what_memory_carries_and_is_fixed_when_the_start_is_over() {
    let mut scene = Scene::guarded(container(Profile::Metamcp));
    let gate = |actions: &[Action]| match actions {
        [Action::Gate(limits)] => Some((limits.max_processes, limits.startup_ns)),
        _ => None,
    };
    scene.live(46);
    let memory = |bytes| InputKind::Memory {
        reclaimable: 0,
        bytes,
        limit: Some(4_000_000_000),
    };
    // 80 % of 4 GB by 17 MB, until it is measured.
    let first = scene.permitted(memory(100_000_000));
    assert_eq!(gate(&first), Some((188, 600 * SECOND_NS)));
    scene.done();
    scene.root(1, "npx -y one");
    scene.wait_ms(29_000);
    scene.root(2, "npx -y two");
    scene.wait_ms(2_000);
    assert_eq!(
        scene.permitted(memory(1_000_000_000)),
        [],
        "a family is new"
    );
    scene.wait_ms(28_000);
    // 50 live: 20 MB each.
    let fixed = scene.permitted(memory(1_000_000_000));
    assert_eq!(gate(&fixed), Some((160, 0)));
    scene.done();
    scene.wait_ms(60_000);
    assert_eq!(scene.permitted(memory(3_000_000_000)), [], "it stays");
}

/// The limits that are in force then may be those of an emergency.
#[test]
fn an_agent_that_takes_over_keeps_the_cap_that_was_fixed_and_not_a_tightened_one() {
    let taken_over = |held| {
        let mut scene = Scene::new(Mode::Enforce, container(Profile::Metamcp));
        scene.feed(gate(GateMode::Kill));
        scene.done();
        let inherited = Inherited {
            counters: TargetCounters::default(),
            auto_cap: Some(160),
            held,
        };
        scene.feed(InputKind::Up {
            cgroup: CgroupId(7),
            path: String::new(),
            adopted: 0,
            inherited: Some(Box::new(inherited)),
            from_birth: false,
            started_ns: 1,
        });
        scene.done();
        let memory = InputKind::Memory {
            reclaimable: 0,
            bytes: 100_000_000,
            limit: Some(4_000_000_000),
        };
        scene.feed(memory);
        limits(scene.permits.last().unwrap()).max_processes
    };
    assert_eq!(taken_over(true), 160);
    assert_eq!(taken_over(false), 188, "of another cgroup it says nothing");
}
