//! Histories of one target, and what is said of them.

use super::*;

const S: u64 = 1_000_000_000;

fn calm() -> Seen<'static> {
    Seen {
        at: Stamp::default(),
        name: "metamcp",
        is_up: true,
        level: Level::Normal,
        why: "why",
        storms: false,
        storms_on: false,
        live: 10,
        count: 0,
        critical: Some(30),
        memory: 1_000_000,
        is_heavy: false,
        grows: false,
        is_ill: false,
        again: None,
        host_suffers: false,
        is_cgroup: false,
        killed: 0,
        retired: 0,
        restarts: 0,
        recreated: false,
        clear_ns: 60 * S,
    }
}

fn bad() -> Seen<'static> {
    Seen {
        level: Level::Warning,
        ..calm()
    }
}

/// Feeds each at its second, and checks what is said, in words.
#[track_caller]
fn check(history: Vec<(u64, Seen<'static>)>, expected: &[&str]) {
    let mut incidents = Incidents::default();
    let mut said = Vec::new();
    for (second, mut seen) in history {
        seen.at.boot_ns = second * S;
        said.extend(incidents.see(&seen).into_iter().map(|fact| match fact {
            FactKind::IncidentOpened {
                id,
                escalation,
                why,
                ..
            } => format!("{second}: {id} opened at {escalation}: {why}"),
            FactKind::Escalation {
                id,
                escalation,
                why,
                ..
            } => format!("{second}: {id} at {escalation}: {why}"),
            FactKind::IncidentClosed {
                id,
                seconds,
                peak_live,
                how,
                killed,
                retired,
                restarts,
                ..
            } => format!(
                "{second}: {id} closed by {how} after {seconds} s, peak {peak_live}, \
                 {killed} {retired} {restarts}"
            ),
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(said, expected);
}

#[test]
fn from_the_first_sign_until_all_is_well_for_a_while() {
    let higher = Seen {
        live: 99,
        retired: 4,
        ..bad()
    };
    let done = Seen {
        retired: 4,
        ..calm()
    };
    check(
        vec![
            (0, calm()),
            (1, bad()),
            (2, higher),
            (3, done.clone()),
            (62, done.clone()),
            (63, done.clone()),
            (64, done),
        ],
        &[
            "1: 1 opened at 1: why",
            "63: 1 closed by cleanup after 62 s, peak 99, 0 4 0",
        ],
    );
}

#[test]
fn a_refusal_alone_is_a_sign() {
    let storms = Seen {
        storms: true,
        ..calm()
    };
    check(
        vec![
            (0, storms.clone()),
            (5, calm()),
            (64, storms),
            (65, calm()),
            (125, calm()),
        ],
        &[
            "0: 1 opened at 1: spawns are being refused",
            "125: 1 closed by by itself after 125 s, peak 10, 0 0 0",
        ],
    );
}

#[test]
fn it_does_not_close_while_a_criterion_fails() {
    let open = |seen: Seen<'static>| {
        check(
            vec![(0, bad()), (1, seen.clone()), (500, seen)],
            &["0: 1 opened at 1: why"],
        )
    };
    open(bad());
    open(Seen {
        storms: true,
        ..calm()
    });
    open(Seen {
        grows: true,
        ..calm()
    });
    open(Seen {
        is_ill: true,
        ..calm()
    });
    open(Seen {
        is_up: false,
        ..calm()
    });
}

#[test]
fn one_whose_target_stays_away_is_closed() {
    let gone = Seen {
        is_up: false,
        ..calm()
    };
    check(
        vec![
            (0, bad()),
            (1, gone.clone()),
            (600, gone.clone()),
            (601, gone),
        ],
        &[
            "0: 1 opened at 1: why",
            "601: 1 closed by the target is gone after 601 s, peak 10, 0 0 0",
        ],
    );
}

#[test]
fn escalation_only_rises_and_each_step_is_said_once() {
    let count = Seen { count: 30, ..bad() };
    let heavy = Seen {
        is_heavy: true,
        memory: 3_100_000_000,
        ..bad()
    };
    let on = Seen {
        storms_on: true,
        ..bad()
    };
    let host = Seen {
        host_suffers: true,
        ..bad()
    };
    check(
        vec![
            (0, bad()),
            (1, count.clone()),
            (2, heavy.clone()),
            (3, bad()),
            (4, on.clone()),
            (5, count.clone()),
            (6, host.clone()),
            (7, host),
        ],
        &[
            "0: 1 opened at 1: why",
            "1: 1 at 2: 30 processes too many",
            "4: 1 at 3: spawns are still being refused after trees were ended",
            "6: 1 at 4: the host waits for memory; `metamcp-guard isolate metamcp` cuts it off, \
             `freeze metamcp` stops it",
        ],
    );
    check(
        vec![(0, count)],
        &["0: 1 opened at 2: why; 30 processes too many"],
    );
    check(
        vec![(0, heavy)],
        &["0: 1 opened at 2: why; 3100 MB of memory in use"],
    );
    let twice = Seen {
        restarts: 2,
        ..bad()
    };
    check(
        vec![(0, bad()), (1, twice)],
        &["0: 1 opened at 1: why", "1: 1 at 3: 2 restarts"],
    );
    let again = Seen {
        again: Some("again".to_owned()),
        ..bad()
    };
    check(vec![(0, again)], &["0: 1 opened at 3: why; again"]);
}

#[test]
fn each_has_a_number_of_its_own_and_its_own_figures() {
    let restarted = |restarts, recreated| Seen {
        restarts,
        recreated,
        ..calm()
    };
    let sick = |restarts| Seen { restarts, ..bad() };
    check(
        vec![
            (0, sick(5)),
            (1, restarted(6, false)),
            (61, restarted(6, false)),
            (70, sick(6)),
            (71, restarted(7, true)),
            (131, restarted(7, true)),
        ],
        &[
            "0: 1 opened at 1: why",
            "61: 1 closed by a restart after 61 s, peak 10, 0 0 1",
            "70: 2 opened at 1: why",
            "131: 2 closed by a recreation after 61 s, peak 10, 0 0 1",
        ],
    );
}
