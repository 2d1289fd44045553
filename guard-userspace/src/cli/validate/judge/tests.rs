//! Recoveries that are ones, and those that are none.

use super::*;
use crate::model::status::Counts;
use crate::model::status::sentinel::{LevelsStatus, MemoryLevelsStatus, SentinelStatus};

const GB: u64 = 1_000_000_000;

/// A healthy second.
fn sample(at: u64) -> Sample {
    Sample {
        at: Duration::from_secs(at),
        agent: Vec::new(),
        own: false,
        target: TargetStatus {
            armed: true,
            mode: "deny".to_owned(),
            counts: Counts {
                live: 31,
                ..Counts::default()
            },
            sentinel: SentinelStatus {
                health: "healthy".to_owned(),
                levels: Some(LevelsStatus {
                    count: "excess".to_owned(),
                    warning: 15,
                    ..LevelsStatus::default()
                }),
                memory_levels: Some(MemoryLevelsStatus {
                    limit: 4 * GB,
                    warning: 3 * GB,
                    ..MemoryLevelsStatus::default()
                }),
                memory_used_bytes: Some(GB),
                tiers: [
                    ("host_monitor".to_owned(), false),
                    ("nuclear_monitor".to_owned(), true),
                ]
                .into(),
                ..SentinelStatus::default()
            },
            ..TargetStatus::default()
        },
    }
}

/// A series in which the second `n` was changed so.
fn series(change: impl Fn(u64, &mut Sample)) -> Vec<Sample> {
    let all = (0..40).map(|at| {
        let mut one = sample(at);
        change(at, &mut one);
        one
    });
    all.collect()
}

#[track_caller]
fn check(samples: &[Sample], name: &str, expected: Stands, words: &str) {
    for one in judge(samples, true) {
        if one.name == name {
            assert_eq!(one.result, expected, "{one:?}");
            assert!(one.words.contains(words), "{one:?}");
        } else {
            assert!(
                matches!(one.result, Stands::Holds | Stands::Unread),
                "{one:?}"
            );
        }
    }
}

#[test]
fn a_healthy_window_holds_and_says_what_is_off() {
    let samples = series(|_, _| {});
    for name in ["processes", "memory", "growth", "monitoring", "health"] {
        check(&samples, name, Stands::Holds, "");
    }
    check(
        &samples,
        "monitoring",
        Stands::Holds,
        "off by the configuration: host_monitor",
    );
    // The first second alone is one too.
    check(samples.get(..1).unwrap(), "growth", Stands::Holds, "31");
}

#[test]
fn too_many_for_a_second_is_too_many() {
    let samples = series(|at, one| one.target.excess = if at == 7 { 15 } else { 2 });
    let words = "at most 15 processes beyond what is healthy (after 7 s), warning from 15";
    check(&samples, "processes", Stands::Failed, words);
    let just_below = series(|_, one| one.target.excess = 14);
    check(&just_below, "processes", Stands::Holds, "at most 14");
}

#[test]
fn by_total_the_live_ones_count() {
    let samples = series(|_, one| {
        if let Some(levels) = &mut one.target.sentinel.levels {
            levels.count = "total".to_owned();
        }
    });
    check(
        &samples,
        "processes",
        Stands::Failed,
        "at most 31 live processes",
    );
}

#[test]
fn memory_is_below_warning_and_stable() {
    let above = series(|at, one| {
        one.target.sentinel.memory_used_bytes = Some(if at == 3 { 3 * GB + 1 } else { GB });
    });
    check(&above, "memory", Stands::Failed, "at most 3000 MB");
    let rising = series(|at, one| {
        one.target.sentinel.memory_used_bytes = Some(GB + at * GB / 100);
    });
    check(&rising, "memory", Stands::Failed, "not stable");
    let open = judge(&rising, false);
    assert!(
        open.iter()
            .any(|one| one.name == "memory" && one.result == Stands::Open)
    );
    let bump = series(|at, one| {
        one.target.sentinel.memory_used_bytes = Some(if at == 20 { 2 * GB } else { GB });
    });
    check(&bump, "memory", Stands::Holds, "");
    let unlimited = series(|_, one| one.target.sentinel.memory_levels = None);
    check(&unlimited, "memory", Stands::Unread, "");
}

#[test]
fn growth_that_never_falls_fails_and_a_session_does_not() {
    let leak = series(|at, one| one.target.counts.live = 31 + at / 3);
    check(&leak, "growth", Stands::Failed, "never fell");
    let session = series(|at, one| one.target.counts.live = if at < 9 { 31 } else { 61 });
    check(&session, "growth", Stands::Holds, "from 31 to 61");
    let churn = series(|at, one| one.target.counts.live = 31 + at + (at % 2) * 3);
    check(&churn, "growth", Stands::Holds, "");
}

#[test]
fn the_agent_must_sense_and_the_target_be_there() {
    let ill = series(|at, one| {
        if at == 5 {
            one.agent = vec!["the gate has not proved itself".to_owned()];
        }
    });
    check(&ill, "monitoring", Stands::Failed, "not proved itself");
    let away = series(|at, one| one.target.armed = at != 5);
    check(&away, "monitoring", Stands::Failed, "not there after 5 s");
    let own = series(|_, one| one.own = true);
    check(&own, "monitoring", Stands::Unread, "no agent ran before");
    let never = judge(&[], true);
    assert!(never.iter().all(|one| one.result == Stands::Failed));
}

#[test]
fn health_is_what_it_is_at_the_end() {
    let with = |early: &'static str, late: &'static str| {
        series(move |at, one| {
            one.target.sentinel.health = if at < 20 { early } else { late }.to_owned();
        })
    };
    check(&with("starting", "healthy"), "health", Stands::Holds, "");
    check(
        &with("healthy", "unhealthy"),
        "health",
        Stands::Failed,
        "unhealthy",
    );
    check(&with("starting", "starting"), "health", Stands::Failed, "");
    check(&with("unknown", "unknown"), "health", Stands::Unread, "");
}

#[test]
fn a_status_becomes_a_sample() {
    let mut status = Status {
        mode: "enforce".to_owned(),
        sensing: true,
        targets: vec![TargetStatus {
            name: "a".to_owned(),
            ..TargetStatus::default()
        }],
        ..Status::default()
    };
    let of = |status: &Status, name| Sample::of(status, name, Duration::ZERO);
    assert!(of(&status, "b").is_none());
    assert_eq!(of(&status, "a").unwrap().agent.len(), 1, "not proved");
    status.gate.proved = true;
    assert_eq!(of(&status, "a").unwrap().agent.len(), 0);
    status.sensing = false;
    assert_eq!(of(&status, "a").unwrap().agent.len(), 1, "not sensing");
}
