//! Random scripts on four CPUs in random orders: what nobody thought of.

extern crate std;

use super::explore::{Scene, all_end};
use super::op::Op::{self, Cap, Enter, Exit, Follow, Fork, Move, Protect, Raise, Settle, Spine};
use super::state::{PROCESSES, Pid};
use crate::tree::force::Post;
use crate::tree::place::Role;
use proptest::prelude::*;
use std::vec::Vec;

const CPUS: usize = 4;

/// Any process but those that forks make.
fn pid() -> impl Strategy<Value = Pid> {
    0..PROCESSES
}

fn post() -> impl Strategy<Value = Post> {
    prop_oneof![
        1 => Just(Post::Nobody),
        1 => Just(Post::Wrapper),
        1 => Just(Post::Gateway),
        3 => Just(Post::Root),
        1 => Just(Post::Found),
        1 => Just(Post::Guest),
    ]
}

/// What can be done to processes that are there.
fn later() -> impl Strategy<Value = Op> {
    let role = prop_oneof![Just(Role::Wrapper), Just(Role::Gateway)];
    prop_oneof![
        4 => pid().prop_map(Exit),
        2 => (pid(), 0u64..6, 0u64..14).prop_map(|(pid, peak, room)| Raise(pid, peak, room)),
        2 => (pid(), 0u64..4).prop_map(|(pid, floor)| Settle(pid, floor)),
        1 => pid().prop_map(Protect),
        2 => (pid(), post()).prop_map(|(pid, post)| Move(pid, post)),
        2 => (pid(), pid()).prop_map(|(pid, other)| Follow(pid, other)),
        1 => (pid(), role).prop_map(|(pid, role)| Spine(pid, role)),
        1 => (0u64..14).prop_map(Cap),
    ]
}

/// How process `child` comes: by a fork of one before it, or from outside.
fn birth(child: Pid) -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..child, any::<bool>())
            .prop_map(move |(parent, fails)| Fork { parent, child, fails }),
        4 => (0..child).prop_map(move |parent| Fork { parent, child, fails: false }),
        1 => post().prop_map(move |post| Enter(child, post)),
    ]
}

/// All births in order, each on a CPU, and other things at any place between them.
fn scripts() -> impl Strategy<Value = Vec<Vec<Op>>> {
    let births: Vec<_> = (1..PROCESSES).map(|pid| birth(pid).boxed()).collect();
    let births = births.prop_flat_map(|births| {
        let count = births.len();
        (Just(births), prop::collection::vec(0..CPUS, count))
    });
    let others = prop::collection::vec((later(), 0..CPUS, any::<prop::sample::Index>()), 0..16);
    (births, others).prop_map(|((births, cpus), others)| {
        let mut scripts = std::vec![Vec::new(); CPUS];
        for (op, cpu) in births.into_iter().zip(cpus) {
            scripts[cpu].push(op);
        }
        for (op, cpu, at) in others {
            let script = &mut scripts[cpu];
            script.insert(at.index(script.len() + 1), op);
        }
        scripts
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_whatever_happens(
        scripts in scripts(),
        order in prop::collection::vec(0usize..64, 1..300),
        (cap, reserve, tree, burst) in (0u64..14, 0u64..3, 1u64..5, 1u64..20),
        accounts in 1usize..=4,
    ) {
        let mut scene = Scene::new(accounts, cap, reserve, tree)
            .after(&[Enter(0, Post::Gateway)]);
        scene.shape.burst = burst;
        for script in &scripts {
            scene = scene.cpu(script);
        }
        let mut moment = scene.begin();
        let mut order = order.iter().cycle();
        loop {
            let ready: Vec<usize> = moment.ready(&scene).collect();
            if ready.is_empty() {
                break;
            }
            let at = order.next().map_or(0, |turn| turn % ready.len());
            moment.advance(&scene, ready[at]).map_err(TestCaseError::fail)?;
        }
        moment.state.check_at_rest().map_err(TestCaseError::fail)?;
        all_end(&scene, &moment.state).map_err(TestCaseError::fail)?;
    }
}
