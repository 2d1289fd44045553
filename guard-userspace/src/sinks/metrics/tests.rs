//! What a scraper gets.

use super::{Format, render};
use crate::model::status::sentinel::{IncidentStatus, SentinelStatus};
use crate::model::status::{Counts, GateStatus, ProgramStatus, Status, TargetStatus};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The names that design.md promises, as the plain format calls them.
const NAMES: [&str; 29] = [
    "processes",
    "excess_processes",
    "guests",
    "tasks",
    "trees",
    "spawn_rate",
    "spawns_total",
    "threads_total",
    "execs_total",
    "exits_total",
    "denied_total",
    "killed_total",
    "parked",
    "parked_total",
    "retired_total",
    "park_seconds",
    "memory_bytes",
    "memory_limit_bytes",
    "level",
    "incident_open",
    "restarts_total",
    "lost_events_total",
    "storms_total",
    "gate_mode",
    "canary_ok",
    "program_seconds_total",
    "program_runs_total",
    "reaction_seconds",
    "build_info",
];

fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        gate: GateStatus {
            mode: "kill".to_owned(),
            proved: true,
            why: String::new(),
            ..GateStatus::default()
        },
        lost_events: [("decode".to_owned(), 0)].into(),
        programs: vec![ProgramStatus {
            name: "on_fork".to_owned(),
            runs: 12,
            run_ns: 1_500_000_000,
            recursion_misses: 0,
        }],
        targets: vec![TargetStatus {
            name: "a\"b\\c\nd".to_owned(),
            level: "critical".to_owned(),
            retired: 2,
            killed_by_operator: 6,
            sentinel: SentinelStatus {
                restarts: 1,
                incident: Some(IncidentStatus::default()),
                killed_by: [("operator".to_owned(), 6)].into(),
                ..SentinelStatus::default()
            },
            mode: "kill".to_owned(),
            counts: Counts {
                spawns: 5,
                live: 3,
                ..Counts::default()
            },
            storms: [("max_processes".to_owned(), 3)].into(),
            memory_bytes: Some(4096),
            lost_events: [("ring".to_owned(), 2)].into(),
            ..TargetStatus::default()
        }],
        ..Status::default()
    }
}

fn plain(status: Status) -> String {
    render(Arc::new(status), Format::Plain).unwrap()
}

#[test]
fn help_and_type_of_each_metric_are_there_without_any_target() {
    let text = plain(Status::default());
    for name in NAMES {
        for word in ["HELP", "TYPE"] {
            let start = format!("# {word} metamcp_guard_{name} ");
            let lines = text.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(lines, 1, "{start}in\n{text}");
        }
    }
}

#[test]
fn counters_start_at_zero_and_labels_are_escaped() {
    let text = plain(status());
    let target = r#"target="a\"b\\c\nd""#;
    for line in [
        format!("metamcp_guard_spawns_total{{{target}}} 5"),
        format!("metamcp_guard_denied_total{{{target}}} 0"),
        format!("metamcp_guard_killed_total{{{target},tier=\"gate\"}} 0"),
        format!("metamcp_guard_killed_total{{{target},tier=\"operator\"}} 6"),
        format!("metamcp_guard_killed_total{{{target},tier=\"nuclear_monitor\"}} 0"),
        format!("metamcp_guard_restarts_total{{{target}}} 1"),
        format!("metamcp_guard_retired_total{{{target}}} 2"),
        format!("metamcp_guard_parked_total{{{target}}} 0"),
        format!("metamcp_guard_storms_total{{{target},limit=\"max_processes\"}} 3"),
        format!("metamcp_guard_level{{{target}}} 2"),
        format!("metamcp_guard_incident_open{{{target}}} 1"),
        format!("metamcp_guard_gate_mode{{{target},mode=\"kill\"}} 1"),
        format!("metamcp_guard_gate_mode{{{target},mode=\"lsm\"}} 0"),
        format!("metamcp_guard_lost_events_total{{{target},source=\"ring\"}} 2"),
        format!("metamcp_guard_reaction_seconds_count{{{target}}} 0"),
        format!("metamcp_guard_reaction_seconds_bucket{{le=\"+Inf\",{target}}} 0"),
        "metamcp_guard_program_seconds_total{program=\"on_fork\"} 1.5".to_owned(),
        "metamcp_guard_canary_ok 1".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    assert!(!text.contains("# EOF"));
}

#[test]
fn open_metrics_only_where_it_is_asked_for() {
    let scrape = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
    for (accept, format) in [
        ("", Format::Plain),
        ("*/*", Format::Plain),
        ("text/plain", Format::Plain),
        ("application/openmetrics-text;q=0", Format::Plain),
        ("application/openmetrics-text; q=0.0", Format::Plain),
        ("application/openmetrics-text", Format::OpenMetrics),
        (scrape, Format::OpenMetrics),
    ] {
        assert_eq!(Format::wanted(accept), format, "{accept}");
    }
    let text = render(Arc::new(status()), Format::OpenMetrics).unwrap();
    assert!(text.ends_with("# EOF\n"));
    assert!(
        text.contains("# TYPE metamcp_guard_spawns counter\n"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE metamcp_guard_parked gauge\n"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE metamcp_guard_parked_total unknown\n"),
        "{text}"
    );
}

/// Prometheus's own judgement.
#[test]
fn promtool_finds_nothing() {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        println!("skipped: no promtool; apt install prometheus");
        return;
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(plain(status()).as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
