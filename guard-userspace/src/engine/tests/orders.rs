//! What an operator's order comes to, and what it may never come to.

use super::*;
use crate::config::checked::Pattern;
use crate::model::kin::{Found, Survey};
use guard_common::tree::{Place, Role};
use proptest::prelude::*;

/// The container's init, a wrapper.
const INIT: u32 = 1;
/// Its gateway.
const GATEWAY: u32 = 10;
/// A tree's root, and one below it.
const ROOT: u32 = 100;
const LEAF: u32 = 101;
/// Another tree's root, which `protect` means.
const PRECIOUS: u32 = 200;
/// Came from outside.
const GUEST: u32 = 300;

fn found(pid: u32, parent: u32, argv: &str, place: Place) -> Found {
    Found {
        process: ProcessKey {
            pid,
            start_ticks: u64::from(pid),
        },
        parent,
        session: pid,
        argv: argv.split(' ').map(str::to_owned).collect(),
        place,
    }
}

fn seen(id: u64, root: u32, kind: TreeKind, used: u64) -> TreeSeen {
    TreeSeen {
        root,
        kind,
        used,
        ..tree(id, 0)
    }
}

fn survey() -> Survey {
    let member = |tree| Place::new(Role::Member, tree);
    Survey {
        processes: vec![
            found(INIT, 0, "sh entrypoint", Place::new(Role::Wrapper, 0)),
            found(GATEWAY, INIT, "node gateway", Place::new(Role::Gateway, 0)),
            found(ROOT, GATEWAY, "npm exec files", member(7)),
            found(LEAF, ROOT, "node files", member(7)),
            found(PRECIOUS, GATEWAY, "node precious.js", member(8)),
            found(GUEST, 0, "sh", Place::new(Role::Guest, 9)),
        ],
        trees: vec![
            seen(7, ROOT, TreeKind::Tree, 2),
            seen(8, PRECIOUS, TreeKind::Tree, 1),
            seen(9, GUEST, TreeKind::Guests, 1),
            seen(6, 60, TreeKind::Open, 1),
        ],
        init: Some(INIT),
    }
}

fn scene(mode: Mode) -> Scene {
    let mut config = container(Profile::Metamcp);
    config.protect = vec![Pattern::new("precious").unwrap()];
    let mut scene = Scene::new(mode, config);
    scene.feed(gate(GateMode::Kill));
    scene.feed(up());
    scene.feed(InputKind::Surveyed(survey()));
    scene.permits.clear();
    scene
}

fn place_of(pid: u32) -> Place {
    let all = survey().processes;
    all.iter().find(|one| one.process.pid == pid).unwrap().place
}

fn order(id: u64, pid: Option<u32>) -> Order {
    let named = pid.map(|pid| (pid, place_of(pid)));
    of(id, How::Kill, named, None)
}

fn of(id: u64, how: How, named: Option<(u32, Place)>, only: Option<Vec<u64>>) -> Order {
    Order {
        id,
        what: Ordered::End { how, named, only },
        dry_run: false,
    }
}

/// The trees that may be ended now, and why the others may not.
fn ordered(scene: &mut Scene, order: Order) -> (Vec<u64>, Vec<String>) {
    let before = scene.permits.len();
    let facts = scene.feed(InputKind::Operator(order));
    let ends = scene.permits.iter().skip(before);
    let ends = ends.filter_map(|permit| match permit.action() {
        Action::End(ending) => Some(ending.tree),
        _ => None,
    });
    let refused = facts.into_iter().filter_map(|fact| match fact {
        FactKind::Decision {
            ending: Some(_),
            refused,
            ..
        } => refused,
        _ => None,
    });
    (ends.collect(), refused.collect())
}

fn check(pid: Option<u32>, ends: &[u64], refused: &[&str]) {
    let (ended, said) = ordered(&mut scene(Mode::Enforce), order(1, pid));
    assert_eq!(ended, ends, "{pid:?}");
    assert_eq!(said.len(), refused.len(), "{pid:?}: {said:?}");
    for (said, word) in said.iter().zip(refused) {
        assert!(said.contains(word), "{pid:?}: {said}");
    }
}

/// Invariant 2.
#[test]
fn spine_gateways_guests_and_what_is_protected_are_never_ended() {
    check(Some(INIT), &[], &["spine"]);
    check(Some(GATEWAY), &[], &["gateway"]);
    check(Some(PRECIOUS), &[], &["protected: node precious.js"]);
    check(Some(GUEST), &[], &["outside"]);
}

#[test]
fn any_process_names_its_tree_and_none_names_all_unprotected_ones() {
    check(Some(ROOT), &[7], &[]);
    check(Some(LEAF), &[7], &[]);
    check(None, &[7], &["protected"]);
}

#[test]
fn what_was_confirmed_is_what_is_ended() {
    let named = Some((ROOT, place_of(ROOT)));
    let only = |trees: &[u64]| of(1, How::Kill, named, Some(trees.to_vec()));
    let mut scene = scene(Mode::Enforce);
    let (ends, refused) = ordered(&mut scene, only(&[5]));
    assert!(
        ends.is_empty() && refused.is_empty(),
        "the pid is another's by now"
    );
    assert_eq!(ordered(&mut scene, only(&[7])).0, [7]);
}

#[test]
fn a_tree_that_is_gone_is_not_ended() {
    let mut scene = scene(Mode::Enforce);
    scene.feed(InputKind::Trees {
        seen: Vec::new(),
        committed: 0,
    });
    let (ends, refused) = ordered(&mut scene, order(1, Some(ROOT)));
    assert!(ends.is_empty());
    assert!(refused[0].contains("not there any more"), "{refused:?}");
}

/// Invariant 3.
#[test]
fn observe_ends_nothing_and_says_what_it_would_have() {
    let (ends, refused) = ordered(&mut scene(Mode::Observe), order(1, Some(LEAF)));
    assert!(ends.is_empty());
    let expected = "observe: would have killed the tree of pid 100 (npx files, 2 processes)";
    assert_eq!(refused, [expected]);
}

#[test]
fn a_dry_run_ends_nothing_and_stands_in_nobodys_way() {
    let mut scene = scene(Mode::Enforce);
    let dry = Order {
        dry_run: true,
        ..order(1, Some(ROOT))
    };
    let (ends, refused) = ordered(&mut scene, dry);
    assert!(ends.is_empty());
    assert!(refused[0].starts_with("dry run: would have"), "{refused:?}");
    assert_eq!(ordered(&mut scene, order(2, Some(ROOT))).0, [7]);
}

#[test]
fn one_order_at_a_time_ends_a_tree_until_its_outcome() {
    let mut scene = scene(Mode::Enforce);
    assert_eq!(ordered(&mut scene, order(1, Some(ROOT))).0, [7]);
    let (ends, refused) = ordered(&mut scene, order(2, Some(LEAF)));
    assert!(ends.is_empty());
    assert!(refused[0].contains("already"), "{refused:?}");
    let Action::End(ending) = scene.permits.last().unwrap().action().clone() else {
        panic!("no end");
    };
    let mut outcome = Outcome::of("kill", OutcomeKind::Done);
    outcome.ended = Some(Box::new(Ended {
        ending,
        processes: 2,
        killed: true,
    }));
    let facts = scene.feed(InputKind::Outcome(outcome));
    assert!(matches!(&facts[..], [FactKind::Action { done: true, .. }]));
    let state = &scene.engine.target(T).unwrap().state;
    assert_eq!((state.ends().killed(), state.ends().by(7)), (2, None));
    assert_eq!(ordered(&mut scene, order(3, Some(ROOT))).0, [7]);
}

#[test]
fn a_tree_that_ended_by_end_of_file_is_told_as_retired() {
    let mut scene = scene(Mode::Enforce);
    let named = Some((ROOT, place_of(ROOT)));
    let (ends, _) = ordered(&mut scene, of(1, How::Retire, named, None));
    assert_eq!(ends, [7]);
    let Action::End(ending) = scene.permits.last().unwrap().action().clone() else {
        panic!("no end");
    };
    let processes = 2;
    let mut outcome = Outcome::of("retire", OutcomeKind::Done);
    outcome.ended = Some(Box::new(Ended {
        ending,
        processes,
        killed: false,
    }));
    let facts = scene.feed(InputKind::Outcome(outcome));
    assert_eq!(names(&facts), ["retired", "action"]);
}

proptest! {
    /// Invariant 2, whatever place the kernel side says that the named process has.
    #[test]
    fn only_an_unprotected_tree_is_ever_permitted(
        role in 0_u64..6,
        id in prop_oneof![0_u64..12, any::<u64>()],
        kill in any::<bool>(),
        named in any::<bool>(),
    ) {
        let mut scene = scene(Mode::Enforce);
        let place = Place(role << 48 | id & guard_common::tree::place::MAX_ID);
        let how = if kill { How::Kill } else { How::Retire };
        let order = of(1, how, named.then_some((5, place)), None);
        let (ends, _) = ordered(&mut scene, order);
        prop_assert!(ends.iter().all(|tree| *tree == 7), "{:?}", ends);
        let member = place.role() == Role::Member && place.tree() == 7;
        prop_assert_eq!(ends.is_empty(), named && !member);
    }
}
