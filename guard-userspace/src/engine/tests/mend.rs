//! What a restart leaves stopped or half done.

use super::sentinel::{config, heavy};
use super::world::World;
use super::*;
use crate::model::deed::Left;

/// What was done to the container as a whole, with the seconds since the first.
fn whole(world: &World) -> Vec<(u64, &'static str)> {
    let all = world.did.iter();
    let deeds = all.filter(|(_, action)| matches!(action, Action::Do(_)));
    let deeds: Vec<_> = deeds
        .map(|(at, action)| (*at / SECOND_NS, action.name()))
        .collect();
    let first = deeds.first().map_or(0, |(at, _)| *at);
    deeds
        .into_iter()
        .map(|(at, name)| (at - first, name))
        .collect()
}

#[test]
fn what_a_restart_leaves_stopped_is_made_anew_at_once_and_no_third_time() {
    let check = |leaves: &[Left], expected: &[&str], up: bool| {
        let mut world = heavy(config());
        world.leaves = leaves.to_vec();
        world.pass(1_200, 1);
        let deeds = whole(&world);
        let names: Vec<_> = deeds.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, expected, "{leaves:?}");
        assert_eq!(world.state().cgroup().is_some(), up, "{leaves:?}");
        // Each waits for the outcome before it, but nothing else.
        let last = deeds.last().unwrap().0;
        assert!(last < 40, "{deeds:?}");
        let restarts = names.iter().filter(|name| **name != "resume").count();
        let counted = world.state().deeds().restarts_within_hour(world.now_ns);
        assert_eq!(usize::try_from(counted).unwrap(), restarts, "{leaves:?}");
    };
    check(&[Left::Down], &["restart", "recreate"], true);
    check(&[Left::Down, Left::Down], &["restart", "recreate"], false);
    check(&[Left::Half], &["restart", "resume"], true);
    check(
        &[Left::Half, Left::Down],
        &["restart", "resume", "recreate"],
        true,
    );
}

#[test]
fn what_an_earlier_agent_left_half_done_is_resumed_and_docker_is_waited_for() {
    let mut world = World::new(Mode::Enforce, config(), 7);
    world.leaves = vec![Left::Half, Left::Half];
    world.feed(InputKind::HalfDone);
    world.pass(200, 1);
    let deeds = whole(&world);
    let [(0, "resume"), (second, "resume"), (third, "resume")] = deeds.as_slice() else {
        panic!("{deeds:?}")
    };
    assert!(
        (60..75).contains(second) && (120..150).contains(third),
        "{deeds:?}"
    );
    assert!(world.state().cgroup().is_some() && !world.state().deeds().is_half());
    // Nobody acts in `observe`, and who stops a container by hand finds it stopped.
    let mut world = World::new(Mode::Observe, config(), 7);
    world.feed(InputKind::HalfDone);
    world.pass(200, 1);
    assert_eq!(whole(&world), []);
    let mut world = World::new(Mode::Enforce, config(), 7);
    world.feed(InputKind::Down {
        why: "docker stop".to_owned(),
    });
    world.pass(200, 1);
    assert_eq!(whole(&world), []);
}
