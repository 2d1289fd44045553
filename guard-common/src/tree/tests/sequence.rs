//! The rules of gate.md §1 and §2, one operation after the other: what each takes and gives back.
//!
//! Process 0 is the gateway in most of them.

extern crate std;

use super::explore::{Scene, run_whole};
use super::op::End::{self, Done, Entered, Refused, Slots};
use super::op::Op::{self, Cap, Enter, Exit, Follow, Fork, Move, Protect, Raise, Settle, Spine};
use super::state::Pid;
use crate::tree::adjust::{Became, LONG_QUIET_NS, MOST_RAISED, floor};
use crate::tree::force::{Moved, Post};
use crate::tree::place::{Place, Role};
use crate::tree::{Left, Refusal};

const fn fork(parent: Pid, child: Pid) -> Op {
    Fork {
        parent,
        child,
        fails: false,
    }
}

/// Each operation, how it ends, and what `committed` is after it.
fn check(name: &str, mut scene: Scene, steps: &[(Op, End, u64)]) {
    for (number, &(op, end, committed)) in steps.iter().enumerate() {
        let ended = run_whole(&mut scene, op);
        assert_eq!(ended, end, "{name}, {number}: {op:?}");
        assert_eq!(scene.state.committed, committed, "{name}, {number}: {op:?}");
    }
}

/// Room for four accounts, this cap and reserve, trees of `tree`; 0 is a gateway.
fn gateway(cap: u64, reserve: u64, tree: u64) -> Scene {
    Scene::new(4, cap, reserve, tree).after(&[Enter(0, Post::Gateway)])
}

const ANY: u64 = u64::MAX;
const NO_SLOTS: End = Refused(Refusal::Slots);

#[test]
fn a_gateways_spawn_takes_a_whole_tree_or_nothing() {
    let steps = [
        (fork(0, 1), Done, 5),
        (fork(0, 2), Done, 9),
        (fork(0, 3), NO_SLOTS, 9),
        (Exit(1), End::Left(Left::Tree), 5),
        (fork(0, 4), Done, 9),
    ];
    check("12 slots, 1 reserve", gateway(12, 1, 4), &steps);
}

#[test]
fn a_member_is_free_within_and_pays_beyond() {
    let within = [
        (fork(0, 1), Done, 3),
        (fork(1, 2), Done, 3),
        (fork(2, 3), Done, 4),
        (fork(2, 4), NO_SLOTS, 4),
        (Exit(3), End::Left(Left::Others), 3),
        (fork(1, 5), Done, 4),
    ];
    check("5 slots, 1 reserve", gateway(5, 1, 2), &within);
}

#[test]
fn the_reserve_is_open_to_wrappers_alone() {
    let steps = [
        (Enter(1, Post::Wrapper), Entered(true), 2),
        (fork(0, 2), NO_SLOTS, 2),
        (fork(1, 3), Done, 3),
        (fork(3, 4), Done, 4),
        (fork(1, 5), NO_SLOTS, 4),
        (Exit(3), End::Left(Left::Others), 3),
    ];
    check("4 slots, 2 reserve", gateway(4, 2, 1), &steps);
}

#[test]
fn tokens_are_the_trees_and_no_wrapper_needs_one() {
    let mut scene = gateway(99, 0, 2);
    scene.shape.burst = 3;
    let steps = [
        (Enter(1, Post::Wrapper), Entered(true), 2),
        (fork(0, 2), Done, 4),
        (fork(0, 3), Refused(Refusal::Tokens), 4),
        (fork(2, 4), Done, 4),
        (fork(2, 5), Done, 5),
        (fork(2, 6), Refused(Refusal::Tokens), 5),
        (fork(1, 7), Done, 6),
    ];
    check("three tokens", scene, &steps);
}

#[test]
fn a_tree_outlives_its_root_and_ends_with_its_last() {
    let steps = [
        (fork(0, 1), Done, 5),
        (fork(1, 2), Done, 5),
        (Exit(1), End::Left(Left::Others), 5),
        (fork(2, 3), Done, 5),
        (Exit(2), End::Left(Left::Others), 5),
        (Exit(3), End::Left(Left::Tree), 1),
    ];
    check("root first", gateway(9, 0, 4), &steps);
}

#[test]
fn a_raise_takes_what_fits_and_no_more() {
    let steps = [
        (fork(0, 1), Done, 3),
        (Raise(1, 4, 4), Slots(1), 4),
        (Raise(1, 4, ANY), Slots(1), 5),
        (Raise(1, 4, ANY), Slots(0), 5),
        (Raise(1, 9, ANY), Slots(2), 7),
        (Raise(1, 9, ANY), Slots(0), 7),
        (fork(1, 2), Done, 7),
        (Exit(2), End::Left(Left::Others), 7),
    ];
    check("up to what is open to trees", gateway(8, 1, 2), &steps);
    let most = [(fork(0, 1), Done, 3), (Raise(1, ANY, ANY), Slots(30), 33)];
    check("at most 32", gateway(99, 0, 2), &most);
    assert_eq!(MOST_RAISED, 32);
    let grown = [
        (fork(0, 1), Done, 2),
        (fork(1, 2), Done, 3),
        (fork(1, 3), Done, 4),
        (Raise(1, 2, ANY), Slots(0), 4),
        (Exit(3), End::Left(Left::Others), 3),
        (Exit(2), End::Left(Left::Others), 3),
    ];
    check("what it uses is not paid twice", gateway(9, 0, 1), &grown);
    let none = [
        (fork(0, 1), Done, 2),
        (fork(1, 2), Done, 3),
        (Raise(1, 4, 0), Slots(0), 3),
        (Exit(2), End::Left(Left::Others), 2),
    ];
    check("no room, no change", gateway(9, 0, 1), &none);
}

#[test]
fn a_settled_tree_keeps_one_spare() {
    let steps = [
        (fork(0, 1), Done, 6),
        (Settle(1, 2), Slots(0), 6),
        (fork(1, 2), Done, 6),
        (Settle(1, 2), Slots(2), 4),
        (fork(1, 3), Done, 4),
        (Settle(1, 0), Slots(0), 4),
        (fork(1, 4), Done, 5),
        (Exit(4), End::Left(Left::Others), 4),
    ];
    check("of five", gateway(9, 0, 5), &steps);
}

#[test]
fn a_tree_is_settled_once_it_is_quiet_and_grown() {
    let check = |quiet_s: u64, expected: Option<u64>| {
        let second = 1_000_000_000;
        assert_eq!(
            floor(quiet_s * second, 120 * second, 3),
            expected,
            "{quiet_s}"
        );
    };
    check(0, None);
    check(119, None);
    check(120, Some(3));
    check(599, Some(3));
    check(600, Some(0));
    assert_eq!(LONG_QUIET_NS, 600_000_000_000);
    assert_eq!(floor(5, 6, 0), None);
}

#[test]
fn guests_are_beside_the_cap() {
    let steps = [
        (Enter(1, Post::Guest), Entered(true), 1),
        (fork(1, 2), Done, 1),
        (fork(2, 3), Refused(Refusal::Guests), 1),
        (Enter(4, Post::Guest), Entered(true), 1),
        (fork(4, 5), Done, 1),
        (Protect(1), End::Became(Became::No), 1),
        (Settle(1, 0), Slots(0), 1),
        (Raise(1, 9, ANY), Slots(0), 1),
        (Exit(1), End::Left(Left::Others), 1),
        (Exit(2), End::Left(Left::Guests), 1),
    ];
    check("two for each entry", gateway(1, 0, 1), &steps);
}

#[test]
fn over_the_cap_nothing_is_admitted_until_it_is_below() {
    let armed = [
        (Enter(1, Post::Found), Entered(true), 2),
        (fork(1, 7), NO_SLOTS, 2),
        (Enter(2, Post::Found), Entered(true), 3),
        (
            Move(2, Post::Wrapper),
            End::Moved(Moved::Yes(Left::Tree)),
            3,
        ),
        (Enter(3, Post::Root), Entered(true), 4),
        (fork(0, 4), NO_SLOTS, 4),
        (Exit(1), End::Left(Left::Tree), 3),
        (Exit(2), End::Left(Left::Others), 2),
        (Exit(3), End::Left(Left::Tree), 1),
        (fork(0, 5), NO_SLOTS, 1),
    ];
    check("two slots", gateway(2, 0, 2), &armed);
}

#[test]
fn what_enters_has_a_whole_reservation_where_it_fits() {
    let steps = [
        (Enter(1, Post::Root), Entered(true), 4),
        (Enter(2, Post::Root), Entered(true), 5),
        (fork(1, 3), Done, 5),
        (fork(2, 4), NO_SLOTS, 5),
    ];
    check("five slots, three each", gateway(5, 0, 3), &steps);
}

#[test]
fn what_is_found_in_one_tree_joins_it() {
    let steps = [
        (Enter(1, Post::Found), Entered(true), 2),
        (Enter(2, Post::Found), Entered(true), 3),
        (Follow(2, 1), End::Moved(Moved::Yes(Left::Tree)), 3),
        (Exit(1), End::Left(Left::Others), 3),
        (Exit(2), End::Left(Left::Tree), 1),
    ];
    check("and holds what it brings", gateway(9, 0, 1), &steps);
}

#[test]
fn a_lowered_cap_leaves_reservations_alone() {
    let steps = [
        (fork(0, 1), Done, 4),
        (Cap(1), Done, 4),
        (fork(1, 2), Done, 4),
        (fork(2, 3), Done, 4),
        (fork(2, 4), NO_SLOTS, 4),
        (fork(0, 5), NO_SLOTS, 4),
        (Exit(3), End::Left(Left::Others), 4),
        (fork(1, 6), Done, 4),
        (Cap(9), Done, 4),
        (fork(0, 7), Done, 7),
    ];
    check("members go on within", gateway(9, 0, 3), &steps);
}

#[test]
fn a_root_that_is_a_gateway_gives_its_reservation_back() {
    let steps = [
        (Enter(1, Post::Root), Entered(true), 4),
        (fork(1, 2), Done, 4),
        (Protect(1), End::Became(Became::Yes(2)), 2),
        (Raise(1, 9, ANY), Slots(0), 2),
        (Move(2, Post::Root), End::Moved(Moved::Yes(Left::Others)), 5),
        (fork(1, 3), Done, 9),
        (Exit(1), End::Left(Left::Others), 8),
        (Exit(2), End::Left(Left::Tree), 4),
        (Exit(3), End::Left(Left::Tree), 0),
    ];
    check("its children are roots", Scene::new(4, 9, 0, 4), &steps);
}

#[test]
fn the_condemned_have_no_slot() {
    let steps = [
        (fork(0, 1), Done, 3),
        (fork(1, 2), Done, 3),
        (
            Move(2, Post::Nobody),
            End::Moved(Moved::Yes(Left::Others)),
            3,
        ),
        (fork(2, 3), Refused(Refusal::Condemned), 3),
        (Exit(2), End::Left(Left::Others), 3),
        (Move(1, Post::Nobody), End::Moved(Moved::Yes(Left::Tree)), 1),
        (Exit(1), End::Left(Left::Others), 1),
    ];
    check("nor do their children", gateway(9, 0, 2), &steps);
}

#[test]
fn the_spine_is_what_its_programs_say() {
    let steps = [
        (Enter(0, Post::Wrapper), Entered(true), 1),
        (fork(0, 1), Done, 2),
        (Spine(0, Role::Gateway), End::Became(Became::Yes(0)), 2),
        (fork(0, 2), Done, 5),
        (Spine(1, Role::Gateway), End::Became(Became::Yes(0)), 5),
        (Spine(1, Role::Wrapper), End::Became(Became::Yes(0)), 5),
        (Spine(2, Role::Gateway), End::Became(Became::No), 5),
        (Spine(1, Role::Guest), End::Became(Became::No), 5),
        (Exit(1), End::Left(Left::Others), 4),
        (Spine(1, Role::Gateway), End::Became(Became::No), 4),
        (Exit(0), End::Left(Left::Others), 3),
        (Exit(2), End::Left(Left::Tree), 0),
    ];
    check("wrapper, then gateway", Scene::new(4, 9, 0, 3), &steps);
}

#[test]
fn a_child_that_must_not_be_refused_belongs_where_its_parent_does() {
    let check = |role: Role, tree: u64, expected: Post| {
        assert_eq!(Post::of_child(Place::new(role, tree)), expected);
    };
    let joins = Post::In { id: 7, hold: false };
    check(Role::Nobody, 0, Post::Nobody);
    check(Role::Wrapper, 0, Post::Wrapper);
    check(Role::Gateway, 0, Post::Root);
    check(Role::Gateway, 7, Post::Root);
    check(Role::Member, 7, joins);
    check(Role::Guest, 7, joins);
}
