//! The pure rooms together: what goes in, what comes out.

mod healthy;
mod levels;
mod looks;
mod mend;
mod orders;
mod properties;
mod scene;
mod sentinel;
mod simulate;
mod trees;
mod victims;
mod world;

use super::Engine;
use crate::config::{Mode, Profile, TargetConfig, TargetSource};
use crate::model::input::{BreachVerdict, Limit};
use crate::model::kin::{TreeKind, TreeSeen};
use crate::model::*;
use crate::rails::Permit;
use guard_common::{GateLimits, GateMode, TargetCounters};
use scene::Scene;

const SECOND_NS: u64 = 1_000_000_000;
const T: TargetId = TargetId(3);

/// Its tiers are off.
fn container(profile: Profile) -> TargetConfig {
    let mut config = TargetConfig::of(TargetSource::Container("metamcp".to_owned()), profile);
    let tiers = &mut config.tiers;
    tiers.nuclear_monitor.on = false;
    tiers.host_monitor.on = false;
    tiers.resource_enforcer.on = false;
    tiers.startup_preventer.on = false;
    config
}

fn tree(id: u64, now_ns: u64) -> TreeSeen {
    TreeSeen {
        id,
        root: 100 + u32::try_from(id).unwrap(),
        kind: TreeKind::Tree,
        used: 1,
        reserved: 1,
        born_ns: now_ns,
        active_ns: now_ns,
    }
}

fn limits(permit: &Permit) -> GateLimits {
    match permit.action() {
        Action::Gate(limits) => *limits,
        other => panic!("{other:?}"),
    }
}

fn gate(mode: GateMode) -> InputKind {
    InputKind::Gate {
        mode,
        proved: true,
        errno: None,
        why: "the canary's fork was refused".to_owned(),
    }
}

fn up() -> InputKind {
    InputKind::Up {
        cgroup: CgroupId(77),
        path: "/docker/abc".to_owned(),
        adopted: 2,
        inherited: None,
        from_birth: false,
        started_ns: 1_000 * SECOND_NS,
    }
}

fn breach(limit: Limit) -> InputKind {
    InputKind::Breach {
        limit,
        verdict: BreachVerdict::Condemned,
        pid: 42,
        comm: "node".to_owned(),
        committed: 400,
        max_processes: 400,
    }
}

fn names(facts: &[FactKind]) -> Vec<&'static str> {
    facts.iter().map(FactKind::name).collect()
}

#[test]
fn limits_are_set_once_the_mode_is_known_and_before_the_target_is_there() {
    let mut scene = Scene::new(Mode::Enforce, container(Profile::Metamcp));
    assert_eq!(
        names(&scene.feed(InputKind::Tick)),
        [""; 0],
        "no mode, no limits"
    );
    assert_eq!(
        names(&scene.feed(gate(GateMode::Kill))),
        ["gate_mode", "decision"]
    );
    let limits = limits(&scene.permits[0]);
    assert_eq!(
        (limits.max_processes, limits.mode),
        (400, GateMode::Kill as u32)
    );
    assert_eq!((limits.token_ns, limits.burst), (16_666_666, 480));
    assert_eq!(
        (limits.startup_token_ns, limits.startup_burst),
        (8_333_333, 960)
    );
    assert_eq!(limits.startup_ns, 600 * SECOND_NS);
    assert_eq!(names(&scene.feed(up())), ["armed"]);
    assert_eq!(names(&scene.done()), ["action"]);
    assert_eq!(
        names(&scene.feed(InputKind::Tick)),
        [""; 0],
        "they are in force"
    );
}

#[test]
fn a_cgroup_target_has_no_start_up_window() {
    let source = TargetSource::Cgroup("/sys/fs/cgroup/x".into());
    let mut scene = Scene::new(Mode::Enforce, TargetConfig::of(source, Profile::Metamcp));
    scene.feed(gate(GateMode::Lsm));
    let limits = limits(&scene.permits[0]);
    assert_eq!((limits.startup_ns, limits.mode), (0, GateMode::Lsm as u32));
}

#[test]
fn another_proved_mode_sets_the_limits_again() {
    let mut scene = Scene::guarded(container(Profile::Metamcp));
    assert_eq!(names(&scene.feed(gate(GateMode::Kill))), [""; 0], "no news");
    let facts = scene.feed(gate(GateMode::Lsm));
    assert_eq!(names(&facts), ["gate_mode", "decision"]);
    assert!(matches!(
        facts[1],
        FactKind::Decision {
            reason: "mode_changed",
            ..
        }
    ));
}

#[test]
fn what_failed_is_tried_again_ten_seconds_later() {
    let mut scene = Scene::new(Mode::Enforce, container(Profile::Metamcp));
    scene.feed(gate(GateMode::Kill));
    assert_eq!(names(&scene.failed()), ["action"]);
    scene.wait_ms(9_999);
    assert_eq!(names(&scene.feed(InputKind::Tick)), [""; 0]);
    scene.wait_ms(1);
    assert_eq!(names(&scene.feed(InputKind::Tick)), ["decision"]);
}

#[test]
fn a_mode_that_the_config_does_not_allow_counts_only() {
    let mut config = container(Profile::Metamcp);
    config
        .gate
        .modes
        .retain(|rung| *rung == crate::config::Rung::Lsm);
    let mut scene = Scene::new(Mode::Enforce, config);
    scene.feed(gate(GateMode::Kill));
    let limits = limits(&scene.permits[0]);
    assert_eq!(limits.mode, GateMode::Observe as u32);
}

/// One line per row: live processes, milliseconds waited before, level then.
fn check_levels(config: TargetConfig, rows: &[(u64, u64, Level)]) {
    let mut scene = Scene::guarded(config);
    for (live, wait_ms, level) in rows {
        scene.wait_ms(*wait_ms);
        scene.live(*live);
        assert_eq!(scene.level(), *level, "{live} live");
    }
}

#[test]
fn levels_by_count_are_entered_at_once_and_left_one_clear_after_later() {
    use Level::*;
    check_levels(
        container(Profile::Metamcp),
        &[
            (14, 0, Normal),
            (15, 1_000, Warning),
            (29, 1_000, Warning),
            (30, 1_000, Critical),
            (51, 1_000, Emergency),
            (101, 1_000, Nuclear),
            (60, 59_999, Nuclear),
            // Nuclear was asked for 60 s ago, emergency just now.
            (14, 1, Emergency),
            (14, 59_999, Normal),
        ],
    );
}

#[test]
fn figures_that_swing_around_a_threshold_give_one_level() {
    let mut scene = Scene::guarded(container(Profile::Metamcp));
    let mut lines = 0;
    for i in 0..200 {
        scene.wait_ms(1_000);
        let facts = scene.live(29 + i % 2);
        lines += names(&facts)
            .iter()
            .filter(|name| **name == "level")
            .count();
    }
    assert_eq!(
        (lines, scene.level()),
        (2, Level::Critical),
        "warning, then critical"
    );
}

#[test]
fn a_level_falls_step_by_step_to_the_worst_that_was_asked_for_in_the_time() {
    use Level::*;
    check_levels(
        container(Profile::Metamcp),
        &[
            (101, 0, Nuclear),
            (35, 30_000, Nuclear),
            (14, 29_999, Nuclear),
            (14, 1, Critical),
            (14, 30_000, Normal),
        ],
    );
}

#[test]
fn generic_without_thresholds_stays_normal_even_at_its_cap() {
    let mut scene = Scene::guarded(container(Profile::Generic));
    scene.live(400);
    scene.feed(breach(Limit::Processes));
    assert_eq!(scene.level(), Level::Normal);
}

#[test]
fn held_at_the_cap_is_critical_and_refused_by_the_rate_is_not() {
    let mut config = container(Profile::Metamcp);
    config.gate.max_processes = crate::config::Cap::Count(10);
    let mut scene = Scene::guarded(config.clone());
    scene.live(9);
    assert_eq!(scene.level(), Level::Normal);
    let facts = scene.live(10);
    assert_eq!(scene.level(), Level::Critical);
    let is_level = |fact: &&FactKind| matches!(fact, FactKind::Level { .. });
    let Some(FactKind::Level { why, .. }) = facts.iter().find(is_level) else {
        panic!("{facts:?}")
    };
    assert!(
        why.starts_with("held at the cap: 10 of 10 slots taken"),
        "{why}"
    );

    let mut scene = Scene::guarded(config);
    let rate = InputKind::Breach {
        limit: Limit::Rate,
        verdict: BreachVerdict::Denied,
        pid: 1,
        comm: String::new(),
        committed: 3,
        max_processes: 10,
    };
    scene.feed(rate);
    assert_eq!(scene.level(), Level::Normal);
}

#[test]
fn the_first_refusal_of_a_storm_is_marked() {
    let mut scene = Scene::guarded(container(Profile::Metamcp));
    let mut firsts = Vec::new();
    for wait_ms in [0, 10, 4_999, 5_000] {
        scene.wait_ms(wait_ms);
        let facts = scene.feed(breach(Limit::Rate));
        let FactKind::Breach { first, .. } = facts[0] else {
            panic!("{facts:?}")
        };
        firsts.push(first);
    }
    assert_eq!(firsts, [true, false, false, true]);
}

#[test]
fn an_idle_target_says_so_once_a_minute_and_one_that_is_gone_is_silent() {
    let mut scene = Scene::guarded(container(Profile::Metamcp));
    let mut lines = Vec::new();
    for second in 0..150 {
        scene.wait_ms(1_000);
        if names(&scene.feed(InputKind::Tick)).contains(&"spawn_rate") {
            lines.push(second);
        }
    }
    assert_eq!(lines, [59, 119]);
    scene.feed(InputKind::Down {
        why: "removed".to_owned(),
    });
    for _ in 0..100 {
        scene.wait_ms(1_000);
        assert_eq!(names(&scene.feed(InputKind::Tick)), [""; 0]);
    }
}

#[test]
fn what_the_ring_lost_is_said_when_it_grows() {
    let mut scene = Scene::guarded(container(Profile::Metamcp));
    let counters = TargetCounters {
        spawns: 1,
        lost: 7,
        ..Default::default()
    };
    let rate = |second| InputKind::Rate {
        second,
        committed: 0,
        counters,
    };
    assert_eq!(
        names(&scene.feed(rate(1000))),
        ["lost_events", "spawn_rate"]
    );
    assert_eq!(names(&scene.feed(rate(1001))), ["spawn_rate"]);
    assert_eq!(
        names(&scene.feed(rate(1001))),
        [""; 0],
        "the same second with no news"
    );
}

#[test]
fn an_unknown_target_changes_nothing() {
    let mut engine = Engine::new(Mode::Enforce);
    let input = Input {
        at: Stamp::default(),
        target: T,
        kind: InputKind::Tick,
    };
    assert_eq!(engine.step(&input), (Vec::new(), Vec::new()));
}
