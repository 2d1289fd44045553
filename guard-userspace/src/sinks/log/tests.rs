//! What a reader of the log gets.

use super::publish;
use crate::model::input::{BreachVerdict, Limit};
use crate::model::{CgroupId, Fact, FactKind, Level, Stamp, TargetId};
use crate::sinks::json::FlatJson;
use guard_common::{GateMode, TargetCounters};
use serde_json::Value;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// Where a test's lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(kind: FactKind) -> Option<Value> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .event_format(FlatJson)
        .with_writer(move || writer.clone())
        .finish();
    let fact = Fact {
        at: Stamp::default(),
        target: TargetId(0),
        kind,
    };
    tracing::subscriber::with_default(subscriber, || publish(&fact, "a \"quoted\" name"));
    let bytes = lines.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.lines().count() <= 1, "one fact, one line: {text}");
    text.lines()
        .next()
        .map(|line| serde_json::from_str(line).unwrap())
}

/// The names that design.md promises, all at the top level.
#[test]
fn a_spawn_rate_line_has_its_fields() {
    let counts = TargetCounters {
        spawns: 7,
        live: 3,
        denied: 2,
        ..Default::default()
    };
    let line = logged(FactKind::SpawnRate {
        counts,
        excess: 3,
        level: Level::Warning,
        mode: GateMode::Kill,
        cgroup: Some(CgroupId(u64::MAX)),
        seconds: 1,
    })
    .unwrap();
    for (field, value) in [
        ("event", Value::from("spawn_rate")),
        ("severity", "INFO".into()),
        ("target", "a \"quoted\" name".into()),
        ("cgroup_id", u64::MAX.into()),
        ("spawns", 7.into()),
        ("live", 3.into()),
        ("denied", 2.into()),
        ("excess", 3.into()),
        ("level", "warning".into()),
        ("mode", "kill".into()),
        ("seconds", 1.into()),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    for field in ["threads", "execs", "exits", "killed", "parked", "tasks"] {
        assert_eq!(line[field], 0, "{field} in {line}");
    }
    let time = line["timestamp"].as_str().unwrap();
    assert!(
        time.len() >= 20 && time.ends_with('Z') && time.contains('T'),
        "{time}"
    );
}

fn breach(limit: Limit, verdict: BreachVerdict, first: bool) -> FactKind {
    let comm = "npm exec\u{1b}[31m".to_owned();
    FactKind::Breach {
        limit,
        verdict,
        pid: 4711,
        comm,
        committed: 60,
        max_processes: 60,
        reserve: 4,
        tree_processes: 4,
        holders: "54 slots are held by 14 trees of npx x".to_owned(),
        first,
    }
}

#[test]
fn the_first_refusal_says_who_by_whom_at_which_limit_and_what_to_do() {
    let line = logged(breach(Limit::Processes, BreachVerdict::Condemned, true)).unwrap();
    assert_eq!(
        (&line["event"], &line["severity"]),
        (&"breach".into(), &"WARN".into())
    );
    let words = line["message"].as_str().unwrap();
    for part in [
        "npm exec",
        "4711",
        "60 of 60 slots",
        "a whole tree takes 4",
        "14 trees of npx x",
        "mode kill",
        "raise max_processes",
    ] {
        assert!(words.contains(part), "{part} in {words}");
    }
    let line = logged(breach(Limit::Rate, BreachVerdict::Denied, true)).unwrap();
    let words = line["message"].as_str().unwrap();
    for part in ["spawn_rate", "EAGAIN", "mode lsm"] {
        assert!(words.contains(part), "{part} in {words}");
    }
    let line = logged(breach(Limit::Rate, BreachVerdict::Observed, true)).unwrap();
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .contains("let through (observe)"),
        "{line}"
    );
}

#[test]
fn the_other_refusals_of_a_storm_are_not_said() {
    assert_eq!(
        logged(breach(Limit::Processes, BreachVerdict::Denied, false)),
        None
    );
}

#[test]
fn a_gate_that_did_not_prove_itself_is_an_error() {
    let why = "the canary's fork went through".to_owned();
    let line = logged(FactKind::GateMode {
        mode: GateMode::Lsm,
        proved: false,
        errno: None,
        why,
    })
    .unwrap();
    assert_eq!(
        (&line["severity"], &line["proved"]),
        (&"ERROR".into(), &false.into())
    );
}
