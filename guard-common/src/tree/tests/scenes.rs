//! The races that were thought of. Names of processes are numbers: 0 is the gateway.

extern crate std;

use super::explore::{Scene, explore};
use super::op::Op::{self, Cap, Enter, Exit, Follow, Fork, Move, Protect, Raise, Settle};
use super::state::{Pid, State};
use crate::tree::force::Post;
use crate::tree::place::Role;
use std::println;

const fn fork(parent: Pid, child: Pid) -> Op {
    Fork {
        parent,
        child,
        fails: false,
    }
}

const fn failing(parent: Pid, child: Pid) -> Op {
    Fork {
        parent,
        child,
        fails: true,
    }
}

/// Room for a raise: as much as trees may have.
const ANY: u64 = u64::MAX;

const GATEWAY: Op = Enter(0, Post::Gateway);

fn check(name: &str, scene: &Scene, at_rest: fn(&State)) {
    let mut scene = scene.clone();
    scene.at_rest = at_rest;
    let states = explore(name, &scene);
    println!("{name}: {states} states");
    assert!(states > 10, "{name} explores nothing");
}

/// A gateway, a tree of `tree` slots with root 1, and what `more` did.
fn family(cap: u64, tree: u64, more: &[Op]) -> Scene {
    Scene::new(2, cap, 0, tree)
        .after(&[GATEWAY, fork(0, 1)])
        .after(more)
}

fn none_refused(state: &State) {
    assert_eq!(state.refused, 0);
}

fn one_refused(state: &State) {
    assert_eq!(state.refused, 1);
}

fn any(_: &State) {}

#[test]
fn two_forks_of_one_tree() {
    let two = |cap| family(cap, 2, &[]).cpu(&[fork(1, 2)]).cpu(&[fork(1, 3)]);
    check("one spare slot and no room", &two(3), one_refused);
    check("one spare slot and room", &two(4), none_refused);
    let both = family(4, 3, &[]).cpu(&[fork(1, 2)]).cpu(&[fork(1, 3)]);
    check("two spare slots", &both, none_refused);
    let beyond = family(4, 2, &[fork(1, 2)])
        .cpu(&[fork(1, 3)])
        .cpu(&[fork(2, 4)]);
    check("no spare slot and room for one", &beyond, one_refused);
}

#[test]
fn a_fork_that_fails_gives_back_what_it_took() {
    let within = family(3, 2, &[]).cpu(&[failing(1, 2)]).cpu(&[fork(1, 3)]);
    check("within the reservation", &within, any);
    let beyond = family(4, 2, &[fork(1, 2)])
        .cpu(&[failing(1, 3)])
        .cpu(&[fork(2, 4), Exit(4)]);
    check("beyond it", &beyond, any);
    let root = family(5, 2, &[])
        .cpu(&[failing(0, 2)])
        .cpu(&[fork(0, 3)])
        .cpu(&[Exit(1)]);
    check("a root", &root, any);
    let alone = family(5, 2, &[]).cpu(&[failing(1, 2)]).cpu(&[Exit(1)]);
    check("of a parent that is moved outside", &alone, any);
}

#[test]
fn roots_come_whole_or_not_at_all() {
    let scene = Scene::new(4, 6, 1, 2)
        .after(&[GATEWAY])
        .cpu(&[fork(0, 2)])
        .cpu(&[fork(0, 3)])
        .cpu(&[fork(0, 4)]);
    check("three, and room for two", &scene, one_refused);
}

#[test]
fn the_reserve_is_the_wrappers() {
    let scene = Scene::new(2, 4, 1, 2)
        .after(&[GATEWAY, Enter(1, Post::Wrapper)])
        .cpu(&[fork(1, 2)])
        .cpu(&[fork(1, 3)])
        .cpu(&[fork(0, 4)]);
    check("two slots, one of them reserve", &scene, one_refused);
}

#[test]
fn a_fork_beside_exits() {
    let sibling = family(3, 2, &[fork(1, 2)])
        .cpu(&[fork(1, 3)])
        .cpu(&[Exit(2)]);
    check("of the other member", &sibling, any);
    let root = family(5, 2, &[fork(1, 2)])
        .cpu(&[fork(2, 3), Exit(2)])
        .cpu(&[Exit(1)]);
    check("of the root", &root, none_refused);
    let over = family(6, 2, &[fork(1, 2), fork(1, 3)])
        .cpu(&[fork(1, 4)])
        .cpu(&[Exit(2)])
        .cpu(&[Exit(3)]);
    check("of members beyond the reservation", &over, none_refused);
}

#[test]
fn the_last_exit_returns_everything_once() {
    let scene = family(5, 3, &[fork(1, 2)])
        .cpu(&[Exit(1)])
        .cpu(&[Exit(1)])
        .cpu(&[Exit(2)])
        .cpu(&[fork(0, 3)]);
    check("threads that end together", &scene, any);
}

#[test]
fn settle_beside_the_others() {
    let forks = family(6, 4, &[])
        .cpu(&[fork(1, 2)])
        .cpu(&[fork(1, 3)])
        .agent(&[Settle(1, 1)]);
    check("two forks", &forks, none_refused);
    let failed = family(5, 4, &[fork(1, 2)])
        .cpu(&[failing(1, 3), fork(1, 3)])
        .agent(&[Settle(1, 0), Settle(1, 0)]);
    check("a fork that fails", &failed, none_refused);
    let last = family(5, 4, &[])
        .cpu(&[Exit(1)])
        .cpu(&[fork(0, 2)])
        .agent(&[Settle(1, 0)]);
    check("the last exit, and a root in its place", &last, any);
    let floor = family(5, 4, &[])
        .cpu(&[fork(1, 2), fork(1, 3)])
        .agent(&[Settle(1, 2)]);
    check("a floor", &floor, none_refused);
}

#[test]
fn raise_beside_the_others() {
    let exit = family(9, 2, &[])
        .cpu(&[Exit(1)])
        .cpu(&[fork(0, 2)])
        .agent(&[Raise(1, 4, ANY)]);
    check(
        "the last exit, and a root in its place",
        &exit,
        none_refused,
    );
    let forks = family(6, 2, &[])
        .cpu(&[fork(1, 2), fork(1, 3)])
        .cpu(&[fork(0, 4)]);
    check("forks and a root", &forks.agent(&[Raise(1, 4, ANY)]), any);
    let settle = family(6, 2, &[]).cpu(&[fork(1, 2), Exit(2)]);
    check(
        "settle",
        &settle.agent(&[Raise(1, 4, ANY), Settle(1, 0), Raise(1, 3, ANY)]),
        any,
    );
}

/// The table's only element is given to the next tree at once.
#[test]
fn an_account_that_is_gone_is_not_mistaken_for_the_next() {
    let mut scene = family(9, 2, &[]);
    scene.state.elements = 1;
    let scene = scene.cpu(&[Exit(1)]).cpu(&[fork(0, 2), fork(0, 3)]);
    let late = scene.clone().agent(&[Raise(1, 4, ANY), Settle(1, 0)]);
    check("by a late agent", &late, any);
    check(
        "by a fork whose parent was moved outside",
        &scene.cpu(&[fork(1, 4)]),
        any,
    );
}

#[test]
fn a_full_table_refuses_and_keeps_nothing() {
    let mut scene = family(9, 2, &[]);
    scene.state.elements = 1;
    let scene = scene.cpu(&[fork(0, 2)]).cpu(&[fork(0, 3)]);
    check("two roots and no room", &scene, |state| {
        assert_eq!((state.refused, state.committed), (2, 3));
    });
}

#[test]
fn a_lowered_cap_takes_no_spares() {
    let scene = family(6, 3, &[])
        .cpu(&[fork(1, 2), fork(2, 3)])
        .cpu(&[fork(0, 4)])
        .agent(&[Cap(2)]);
    check("members go on, roots wait for room", &scene, |state| {
        assert!(state.is_alive(3) && state.refused <= 1);
    });
    let beyond = family(6, 2, &[fork(1, 2)])
        .cpu(&[fork(1, 3)])
        .cpu(&[Exit(2)])
        .agent(&[Cap(1)]);
    check("beyond the reservation nothing is left", &beyond, any);
}

#[test]
fn tokens_are_taken_and_returned_once() {
    let mut scene = family(99, 2, &[]);
    scene.shape.burst = 5;
    let scene = scene
        .cpu(&[fork(0, 2)])
        .cpu(&[fork(0, 3)])
        .cpu(&[failing(0, 4)]);
    check("for one and a half roots", &scene, |state| {
        assert!(state.refused >= 1)
    });
    let mut scene = family(4, 2, &[fork(1, 2)]);
    scene.shape.burst = 3;
    let scene = scene
        .cpu(&[fork(1, 3)])
        .cpu(&[failing(2, 4)])
        .cpu(&[Exit(2)]);
    check("beyond the reservation", &scene, any);
}

#[test]
fn guests_have_a_budget_beside_the_cap() {
    let scene = family(3, 2, &[Enter(2, Post::Guest)])
        .cpu(&[fork(2, 3), Exit(2)])
        .cpu(&[fork(2, 4)])
        .cpu(&[fork(1, 5)]);
    check("two of three, and a full cap", &scene, |state| {
        assert!(state.refused <= 1);
        assert_eq!(state.committed, 3);
    });
}

#[test]
fn what_cannot_be_refused_is_counted_over_the_cap() {
    let entries = Scene::new(4, 3, 0, 2)
        .after(&[GATEWAY])
        .cpu(&[Enter(1, Post::Root)])
        .cpu(&[Enter(2, Post::Found), Exit(2)])
        .cpu(&[fork(0, 3)]);
    check("entries beside a root", &entries, |state| {
        assert!(state.is_alive(1));
    });
    let armed = Scene::new(2, 2, 0, 2)
        .after(&[
            Enter(0, Post::Gateway),
            Enter(1, Post::Found),
            Enter(2, Post::Wrapper),
        ])
        .cpu(&[Move(2, Post::Guest)])
        .cpu(&[fork(1, 3)])
        .cpu(&[fork(0, 4)]);
    check("armed over the cap", &armed, |state| {
        assert!(state.refused > 0)
    });
}

#[test]
fn a_root_becomes_a_gateway() {
    // 1 is the root, 2 and 3 its children, 4 the child of 2.
    let tree = || Scene::new(3, 4, 0, 4).after(&[Enter(1, Post::Root), fork(1, 2)]);
    let agent = [Protect(1), Move(2, Post::Root)];
    let root_forks = tree().cpu(&[fork(1, 3), Exit(1)]).agent(&agent);
    check("and forks meanwhile", &root_forks, any);
    let child_forks = tree()
        .cpu(&[fork(2, 4), Exit(4)])
        .cpu(&[Exit(1)])
        .agent(&agent);
    check("and ends, and its child forks", &child_forks, any);
    let below = tree().after(&[fork(2, 4)]);
    let agent = [Protect(1), Move(2, Post::Root), Follow(4, 2)];
    let ends = below.clone().cpu(&[Exit(4)]).cpu(&[Exit(2)]).agent(&agent);
    check("and all below it end", &ends, any);
    let forks = below.cpu(&[fork(4, 5)]).cpu(&[Exit(2)]).agent(&agent);
    check("and a grandchild forks", &forks, any);
}

#[test]
fn a_process_is_moved_while_it_forks_and_ends() {
    let tree = || family(6, 2, &[fork(1, 2)]);
    let condemned = tree()
        .cpu(&[fork(2, 3), Exit(2)])
        .agent(&[Move(2, Post::Nobody)]);
    check("condemned", &condemned, any);
    let alone = family(6, 2, &[])
        .cpu(&[fork(1, 3), Exit(1)])
        .agent(&[Move(1, Post::Root)]);
    check("out of its own tree", &alone, none_refused);
    let spine = tree()
        .cpu(&[fork(2, 3)])
        .cpu(&[Exit(2)])
        .agent(&[Move(2, Post::Wrapper)]);
    check("into the spine", &spine, any);
    let twice = family(6, 2, &[]).cpu(&[fork(1, 3)]).agent(&[
        Move(1, Post::Found),
        Move(1, Post::Found),
        Move(1, Post::Root),
    ]);
    check("again and again", &twice, any);
}

#[test]
fn the_spine_learns_what_it_is() {
    let scene = Scene::new(2, 3, 0, 2)
        .after(&[Enter(0, Post::Wrapper)])
        .cpu(&[fork(0, 1), Exit(0)])
        .cpu(&[fork(0, 2)])
        .agent(&[Op::Spine(0, Role::Gateway), Op::Spine(0, Role::Wrapper)]);
    check("while it forks and ends", &scene, any);
}
