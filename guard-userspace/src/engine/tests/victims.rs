//! Which trees are chosen, and in which order.

mod cast;

use super::*;
use crate::config::checked::Pattern;
use crate::config::protocol::Scope;
use crate::model::evidence::Writer;
use crate::policy::victims::Want;
use cast::*;
use guard_common::tree::Role;

#[test]
fn nothing_speaks_against_what_is_in_use_without_an_emergency_under_pressure() {
    let trees: Vec<One> = (1..=40).map(one).collect();
    check(&trees, CALM, &[]);
    check(&trees, PRESSED, &[]);
    check(&trees, urgency(Level::Nuclear, None), &[]);
}

#[test]
fn idle_duplicates_go_longest_idle_first_and_never_the_youngest() {
    let trees = [
        idle(1, 4_000),
        idle(2, 9_000),
        idle(3, 3_599),
        one(4),
        idle(5, 9_900),
    ];
    // The fourth is the last used, the fifth the youngest.
    let (first, second) = ((2, "idle_duplicate"), (1, "idle_duplicate"));
    check(&trees, CALM, &[first, second]);
    check(&trees, PRESSED, &[first, second, (3, "idle_duplicate")]);
}

/// 1 h in calm, 2 min under pressure, 15 s once that has lasted 30 s.
#[test]
fn idleness_shrinks_with_pressure() {
    let times = [14, 15, 119, 120, 3_599, 3_600];
    let ids = |pressed| {
        // Each with a family's youngest, which is in use.
        let pair = |(at, idle_s): (usize, &u64)| {
            let id = at as u64 * 2 + 1;
            let line = ["a", "b", "c", "d", "e", "f"][at];
            let old = One {
                line,
                ..idle(id, *idle_s)
            };
            [
                old,
                One {
                    line,
                    ..one(id + 1)
                },
            ]
        };
        let trees: Vec<One> = times.iter().enumerate().flat_map(pair).collect();
        let urgency = urgency(Level::Critical, pressed);
        let chosen = chosen(&engine(base(), &trees, &[]), urgency, Want::ALL);
        chosen.iter().map(|one| one.tree).collect::<Vec<_>>()
    };
    assert_eq!(ids(None), [11]);
    assert_eq!(ids(Some(29)), [11, 9, 7]);
    assert_eq!(ids(Some(30)), [11, 9, 7, 5, 3]);
}

#[test]
fn of_a_family_that_nobody_knows_nothing_is_a_duplicate() {
    let unknown = |id| One {
        line: "",
        ..idle(id, 9_000)
    };
    check(&[1, 2, 3].map(unknown), PRESSED, &[]);
    check(
        &[1, 2, 3].map(unknown),
        DIRE,
        &[(1, "storming"), (2, "storming")],
    );
}

#[test]
fn whoever_has_lost_its_client_goes_first_be_it_the_youngest() {
    let orphan = One {
        orphan: true,
        ..one(9)
    };
    let gone = One {
        writer: Writer::Gone,
        ..one(8)
    };
    let trees = [idle(1, 9_000), gone, orphan, idle(10, 9_000)];
    check(
        &trees,
        CALM,
        &[(9, "orphan"), (8, "no_writer"), (1, "idle_duplicate")],
    );
    let leaving = One {
        born: 1,
        orphan: true,
        ..one(3)
    };
    check(&[leaving], CALM, &[]);
}

#[test]
fn what_boots_is_let_be_even_in_an_emergency() {
    let boots = |id| One {
        born: 19,
        ..one(id)
    };
    check(&[one(1), boots(2), boots(3)], DIRE, &[(1, "storming")]);
}

#[test]
fn in_an_emergency_the_storming_family_goes_then_the_expendable_then_the_biggest() {
    let of = |id, line, memory| One {
        line,
        memory,
        ..one(id)
    };
    let trees = [
        of(1, "npx -y storm", 1),
        of(2, "npx -y storm", 2),
        of(3, "npx -y storm", 3),
        of(4, "npx -y cheap", 1),
        of(5, "npx -y cheap", 1),
        of(6, "npx -y big", 10),
        of(7, "npx -y big", 1),
        of(8, "npx -y bigger", 20),
        of(9, "npx -y bigger", 1),
        of(10, "npx -y unmeasured", 0),
        of(11, "npx -y unmeasured", 0),
    ];
    let mut config = base();
    config.expendable = vec![Pattern::new("cheap").unwrap()];
    let expected = [
        (2, "storming"),
        (1, "storming"),
        (4, "expendable"),
        (8, "biggest"),
        (6, "biggest"),
        (10, "oldest"),
    ];
    check_with(config.clone(), &trees, DIRE, &expected);
    check_with(config, &trees, PRESSED, &[]);
}

#[test]
fn spine_protected_and_gateway_are_never_chosen() {
    let precious = One {
        line: "npx -y precious",
        ..idle(1, 9_000)
    };
    let gateway = One {
        role: Role::Gateway,
        ..idle(2, 9_000)
    };
    let open = One {
        kind: TreeKind::Open,
        ..idle(3, 9_000)
    };
    let mut config = base();
    config.tiers.nuclear_monitor.scope = Scope::All;
    config.protect = vec![Pattern::new("precious").unwrap()];
    let orphaned = |one: One| One {
        orphan: true,
        ..one
    };
    for urgency in [CALM, DIRE, STRICT] {
        let trees = [
            precious,
            gateway,
            open,
            orphaned(precious),
            orphaned(gateway),
        ];
        check_with(config.clone(), &trees, urgency, &[]);
    }
}

#[test]
fn guests_go_when_whoever_ran_them_is_gone_and_the_others_last_in_an_emergency() {
    let guest = |id, writer| One {
        kind: TreeKind::Guests,
        role: Role::Guest,
        writer,
        ..one(id)
    };
    let trees = [
        guest(1, Writer::There),
        guest(2, Writer::Gone),
        guest(3, Writer::Unknown),
        one(4),
        one(5),
    ];
    check(&trees, CALM, &[(2, "no_writer")]);
    check(&trees, STRICT, &[(2, "no_writer"), (4, "count")]);
    let last = [
        (2, "no_writer"),
        (4, "storming"),
        (1, "guest"),
        (3, "guest"),
    ];
    check(&trees, DIRE, &last);
}

#[test]
fn strict_takes_what_is_more_than_healthy_and_scope_all_the_rest() {
    let booting = One { born: 1, ..one(2) };
    let trees = [
        one(1),
        booting,
        one(3),
        One {
            line: "npx -y two",
            ..one(4)
        },
    ];
    // The second is the youngest and the last used.
    check(&trees, STRICT, &[(1, "count"), (3, "count")]);
    let mut config = base();
    config.tiers.nuclear_monitor.scope = Scope::All;
    let all = [(1, "count"), (3, "count"), (4, "count"), (2, "count")];
    check_with(config.clone(), &trees, STRICT, &all);
    check_with(config.clone(), &trees, CALM, &[]);
    // In an emergency without `strict`: neither the youngest nor what boots.
    check_with(config, &trees, DIRE, &[(1, "storming"), (3, "storming")]);
}

#[test]
fn who_does_not_wait_for_many_children_is_a_candidate() {
    let trees = [one(1), one(2)];
    for (pid, count, expected) in [(101, 21, 1), (101, 20, 0), (102, 21, 0), (10, 500, 0)] {
        let engine = engine(base(), &trees, &[(pid, count)]);
        let chosen = chosen(&engine, CALM, Want::ALL);
        assert_eq!(chosen.len(), expected, "{pid} {count}");
    }
}

#[test]
fn without_a_gateway_all_that_lives_may_go_in_an_emergency() {
    let mut config = base();
    config.source = TargetSource::Cgroup("/sys/fs/cgroup/x".into());
    config.allowed_instances = 4;
    let bomb = [One {
        used: 300,
        ..one(1)
    }];
    check_with(config.clone(), &bomb, DIRE, &[]);
    config.end.max_kills_per_minute = 400;
    check_with(config.clone(), &bomb, DIRE, &[(1, "storming")]);
    check_with(config.clone(), &bomb, PRESSED, &[]);
    config.protect = vec![Pattern::new("gateway").unwrap()];
    check_with(config, &bomb, DIRE, &[]);
}

/// Whole trees: enough of them, and no more.
#[test]
fn no_more_is_chosen_than_is_wanted() {
    let trees: Vec<One> = (1..=10).map(|id| idle(id, 9_000 + id)).collect();
    let with = |processes, slots, trees_wanted| {
        let want = Want {
            processes,
            slots,
            trees: trees_wanted,
        };
        chosen(&engine(base(), &trees, &[]), CALM, want).len()
    };
    assert_eq!(with(0, 0, 0), 0);
    assert_eq!(with(1, 0, 0), 1);
    assert_eq!(with(3, 0, 0), 1);
    assert_eq!(with(4, 0, 0), 2);
    assert_eq!(with(0, 4, 0), 1, "with what is reserved");
    assert_eq!(with(4, 5, 0), 2);
    assert_eq!(with(0, 0, 3), 3);
    assert_eq!(with(1_000, 0, 0), 9);
    let mut config = base();
    config.end.max_kills_per_minute = 8;
    let engine = engine(config, &trees, &[]);
    assert_eq!(
        chosen(&engine, CALM, Want::ALL).len(),
        2,
        "the minute's budget"
    );
}

#[test]
fn guests_make_no_room_below_the_cap() {
    let guest = One {
        kind: TreeKind::Guests,
        role: Role::Guest,
        writer: Writer::Gone,
        ..one(1)
    };
    let trees = [guest, idle(2, 9_000), one(3)];
    let wanting = |want| {
        let ends = chosen(&engine(base(), &trees, &[]), PRESSED, want);
        ends.iter().map(|ending| ending.tree).collect::<Vec<_>>()
    };
    let want = Want {
        processes: 1,
        ..Want::default()
    };
    assert_eq!(wanting(want), [1, 2]);
    let want = Want {
        trees: 1,
        ..Want::default()
    };
    assert_eq!(wanting(want), [1], "but they give memory back");
}

#[test]
fn only_an_emergency_under_pressure_gives_no_grace() {
    let trees = [idle(1, 9_000), one(2)];
    let how = |urgency| chosen(&engine(base(), &trees, &[]), urgency, Want::ALL)[0].how;
    assert_eq!(how(CALM), How::End);
    assert_eq!(how(PRESSED), How::End);
    assert_eq!(how(urgency(Level::Emergency, None)), How::End);
    assert_eq!(how(DIRE), How::Force);
    assert_eq!(how(STRICT), How::Force);
}
