//! What an operator reads.

use super::*;
use crate::model::status::sentinel::IncidentStatus;
use crate::model::status::{
    CgroupStatus, Counts, FamilyStatus, GatewayStatus, LimitsStatus, StormStatus,
};

fn status() -> Status {
    let guarded = TargetStatus {
        name: "metamcp".to_owned(),
        watches: "container metamcp".to_owned(),
        armed: true,
        cgroup: Some(CgroupStatus {
            id: 7,
            path: "/docker/abc".to_owned(),
            ..CgroupStatus::default()
        }),
        level: "critical".to_owned(),
        level_why: "held at the cap: 60 of 60 slots taken".to_owned(),
        counts: Counts {
            live: 60,
            tasks: 420,
            spawns: 1_234,
            denied: 17,
            ..Counts::default()
        },
        committed: 56,
        reserved: 2,
        free: Some(0),
        gateways: vec![GatewayStatus {
            pid: 41,
            program: "node dist/index.js".to_owned(),
        }],
        families: vec![FamilyStatus {
            name: "npx @modelcontextprotocol/server-memory".to_owned(),
            trees: 14,
            processes: 42,
            slots: 54,
            roots: vec![50, 60],
        }],
        spawn_rate: 12,
        mode: "lsm".to_owned(),
        limits: Some(LimitsStatus {
            max_processes: Some(60),
            spawn_rate: Some(60),
            spawn_burst: 480,
            tree_processes: 4,
            reserve: 4,
        }),
        storm: Some(StormStatus {
            running: true,
            words: "node (pid 41) got no new process: there is no room".to_owned(),
            ..StormStatus::default()
        }),
        sentinel: SentinelStatus {
            incident: Some(IncidentStatus {
                id: 1_790_000_000_000,
                why: "35 processes too many".to_owned(),
                escalation: 2,
                peak_live: 61,
                ..IncidentStatus::default()
            }),
            ..SentinelStatus::default()
        },
        ..TargetStatus::default()
    };
    let waiting = TargetStatus {
        name: "later".to_owned(),
        watches: "container later".to_owned(),
        level: "normal".to_owned(),
        mode: "observe".to_owned(),
        ..TargetStatus::default()
    };
    Status {
        version: "0.1.0".to_owned(),
        mode: "enforce".to_owned(),
        pid: 99,
        gate: GateStatus {
            mode: "lsm".to_owned(),
            proved: true,
            why: "the canary's fork was refused".to_owned(),
            ..GateStatus::default()
        },
        targets: vec![guarded, waiting],
        ..Status::default()
    }
}

#[test]
fn the_table_shows_figures_reasons_and_who_is_waited_for() {
    insta::assert_snapshot!(table(&status()), @r"
    metamcp-guard 0.1.0 (pid 99), enforce, gate lsm proved: the canary's fork was refused

    TARGET   LEVEL     LIVE  CAP  TASKS  SPAWN/S  SPAWNS  DENIED  KILLED  MODE
    metamcp  critical    60   60    420       12    1234      17       0  lsm
    later    waiting      0    -      0        0       0       0       0  observe

    metamcp: container metamcp at /docker/abc
    metamcp: 56 slots taken, 2 of them reserved and unused; 0 free for trees
    metamcp: gateway 41: node dist/index.js
    metamcp: 54 slots: 14 trees of npx @modelcontextprotocol/server-memory (42 processes)
    metamcp: critical: held at the cap: 60 of 60 slots taken
    metamcp: spawns are being refused; the first: node (pid 41) got no new process: there is no room
    metamcp: incident 1790000000000 is open, escalation 2 of 4, at most 61 live: 35 processes too many
    later: waiting for container later
    ");
}

#[test]
fn above_warning_is_a_failed_check() {
    for (level, above) in [
        ("normal", false),
        ("warning", false),
        ("critical", true),
        ("emergency", true),
        ("nuclear", true),
    ] {
        let level = level.to_owned();
        let target = TargetStatus {
            level,
            ..TargetStatus::default()
        };
        assert_eq!(is_above_warning(&target), above, "{}", target.level);
    }
}
