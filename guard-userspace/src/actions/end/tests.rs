//! Real processes with real pidfds and sockets; the kernel side's table is one of the test's.

use super::member::Crowd;
use super::*;
use crate::actions::table::{SLOT, Table};
use crate::evidence::process::ns_per_tick;
use guard_common::ProcessEntry;
use guard_common::tree::{Place, Role};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const TREE: u64 = 7;

/// A target whose trees are ended.
struct Stage(Table);

impl Stage {
    fn new(name: &str) -> Self {
        Self(Table::new(&format!("end-{name}")))
    }

    /// A child is in `tree`.
    fn put(&self, child: &Child, tree: u64) {
        self.0.put(child.id(), tree);
    }

    fn set(&self, pid: u32, entry: ProcessEntry) {
        self.0.set(pid, entry);
    }

    fn entry(&self, child: &Child) -> ProcessEntry {
        self.0.entry(child.id())
    }

    fn scene(&self) -> Scene {
        Scene {
            slot: SLOT,
            dir: self.0.dir.clone(),
            grace: Duration::from_millis(300),
            members: self.0.members(),
            hurry: Hurry::default(),
        }
    }

    fn end(&self, how: How, root: u32) -> Outcome {
        outcomes_of(vec![ending(how, root)], how, &self.scene()).remove(0)
    }
}

fn ending(how: How, root: u32) -> Ending {
    Ending {
        order: 1,
        how,
        tree: TREE,
        root,
        family: "npx x".to_owned(),
        processes: 1,
        named: None,
        ground: None,
    }
}

/// A child that does not outlive its test.
struct Running(Child);

impl Running {
    fn new(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn sleep() -> Self {
        Self::new(Command::new("sleep").arg("60").stdin(Stdio::null()))
    }

    /// `cat`, which ends as its standard input does.
    fn cat(stdin: impl Into<Stdio>) -> Self {
        Self::new(Command::new("cat").stdin(stdin).stdout(Stdio::null()))
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn why(outcome: &Outcome) -> &str {
    match &outcome.kind {
        OutcomeKind::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

fn socket() -> (UnixStream, OwnedFd) {
    let (gateway, server) = UnixStream::pair().unwrap();
    (gateway, server.into())
}

#[test]
fn what_breaks_off_is_heard_of_as_failed() {
    let outcome = |words: &str| {
        let kind = OutcomeKind::Failed(words.to_owned());
        vec![outcome(ending(How::End, 1), &End::default(), kind)]
    };
    let broken_off = whole(outcome("broken off"), || panic!("a defect, for the test"));
    assert_eq!(why(&broken_off[0]), "broken off");
    let other = whole(outcome("broken off"), || outcome("it stayed"));
    assert_eq!(why(&other[0]), "it stayed");
}

#[test]
fn a_tree_is_killed_and_its_neighbour_lives() {
    let stage = Stage::new("kill");
    let (mut one, mut other) = (Running::sleep(), Running::sleep());
    stage.put(&one.0, TREE);
    stage.put(&other.0, TREE + 1);
    let outcome = stage.end(How::Kill, one.0.id());
    assert_eq!(outcome.kind, OutcomeKind::Done);
    assert_eq!(outcome.ended.unwrap().processes, 1);
    assert_eq!(one.0.wait().unwrap().signal(), Some(15));
    assert!(other.lives());
}

#[test]
fn what_ignores_sigterm_is_killed_after_grace() {
    let stage = Stage::new("stubborn");
    // Nothing of it is left after the signal that it ignores.
    let mut stubborn = Running::new(
        Command::new("sh")
            .args(["-c", "trap '' TERM; echo; exec sleep 60"])
            .stdout(Stdio::piped()),
    );
    let mut heard = [0];
    let out = stubborn.0.stdout.as_mut().unwrap();
    std::io::Read::read_exact(out, &mut heard).unwrap();
    stage.put(&stubborn.0, TREE);
    let begun = Instant::now();
    assert_eq!(
        stage.end(How::Kill, stubborn.0.id()).kind,
        OutcomeKind::Done
    );
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(stubborn.0.wait().unwrap().signal(), Some(9));
}

/// Invariant 1: the pid is another's by now.
#[test]
fn a_pid_that_was_used_again_is_not_signalled() {
    let stage = Stage::new("reuse");
    let mut another = Running::sleep();
    stage.put(&another.0, TREE);
    let mut entry = stage.entry(&another.0);
    entry.start_ns -= 5 * ns_per_tick();
    stage.set(another.0.id(), entry);
    // Nobody of the tree can be held, and so nothing of it is known to have ended.
    assert_eq!(
        stage
            .end(How::Kill, another.0.id())
            .ended
            .unwrap()
            .processes,
        0
    );
    assert!(another.lives());
}

/// Invariant 1: it was chosen, and is no longer there when the signal would be sent.
#[test]
fn who_left_between_choice_and_signal_is_not_signalled() {
    let stage = Stage::new("left");
    let mut leaver = Running::sleep();
    stage.put(&leaver.0, TREE);
    let scene = stage.scene();
    let check = |crowd: &Crowd<'_>| crowd.signal(rustix::process::Signal::KILL);
    for change in [
        |entry: &mut ProcessEntry| entry.place += 1 << 56,
        |entry: &mut ProcessEntry| entry.flags |= guard_common::entry::flag::AWAY,
        |entry: &mut ProcessEntry| entry.slot += 1,
        |entry: &mut ProcessEntry| entry.start_ns += 1,
        |entry: &mut ProcessEntry| entry.place = Place::new(Role::Member, TREE + 1).0,
        |entry: &mut ProcessEntry| entry.place = Place::new(Role::Gateway, TREE).0,
    ] {
        stage.put(&leaver.0, TREE);
        let mut crowd = Crowd::of(&scene, [TREE].into_iter());
        crowd.look();
        assert_eq!(crowd.leaves_first(TREE).len(), 1, "it was chosen");
        let mut entry = stage.entry(&leaver.0);
        change(&mut entry);
        stage.set(leaver.0.id(), entry);
        check(&crowd);
        std::thread::sleep(Duration::from_millis(20));
        assert!(leaver.lives(), "{entry:?}");
    }
    stage.put(&leaver.0, TREE);
    let mut crowd = Crowd::of(&scene, [TREE].into_iter());
    crowd.look();
    check(&crowd);
    assert_eq!(
        leaver.0.wait().unwrap().signal(),
        Some(9),
        "as long as it is there"
    );
}

#[test]
fn end_of_file_ends_a_server_without_a_signal() {
    let stage = Stage::new("retire");
    let (gateway, server) = socket();
    let mut cat = Running::cat(server);
    stage.put(&cat.0, TREE);
    let outcome = stage.end(How::Retire, cat.0.id());
    assert_eq!(outcome.kind, OutcomeKind::Done);
    assert_eq!(outcome.ended.unwrap().processes, 1);
    assert_eq!(cat.0.wait().unwrap().code(), Some(0));
    drop(gateway);
}

#[test]
fn a_standard_input_that_somebody_else_holds_is_left_alone() {
    let stage = Stage::new("shared");
    let (gateway, server) = socket();
    let mut cat = Running::cat(server.try_clone().unwrap());
    let mut stranger = Running::cat(server);
    stage.put(&cat.0, TREE);
    let outcome = stage.end(How::Retire, cat.0.id());
    let expected = format!("held by pid {}", stranger.0.id());
    assert!(why(&outcome).contains(&expected), "{outcome:?}");
    assert!(cat.lives() && stranger.lives());
    // Within the tree it may be shared: npx, its shell and its server all have it.
    stage.put(&stranger.0, TREE);
    let outcome = stage.end(How::Retire, cat.0.id());
    assert_eq!(
        (outcome.kind, outcome.ended.unwrap().processes),
        (OutcomeKind::Done, 2)
    );
    drop(gateway);
}

#[test]
fn what_cannot_be_retired_is_said_and_left_as_it_is() {
    let check = |name: &str, mut server: Running, word: &str| {
        let stage = Stage::new(name);
        stage.put(&server.0, TREE);
        let outcome = stage.end(How::Retire, server.0.id());
        assert!(why(&outcome).contains(word), "{outcome:?}");
        assert!(server.lives(), "{name}");
    };
    check("pipe", Running::cat(Stdio::piped()), "a pipe");
    check("device", Running::sleep(), "/dev/null");
    let (_gateway, server) = socket();
    let deaf = Running::new(Command::new("sleep").arg("60").stdin(server));
    check("deaf", deaf, "did not end within 300ms: use kill");
}

#[test]
fn an_agent_that_ends_leaves_no_half_tree() {
    let stage = Stage::new("hurry");
    let mut stubborn = Running::new(
        Command::new("sh")
            .args(["-c", "trap '' TERM; echo; exec sleep 60"])
            .stdout(Stdio::piped()),
    );
    let out = stubborn.0.stdout.as_mut().unwrap();
    std::io::Read::read_exact(out, &mut [0]).unwrap();
    stage.put(&stubborn.0, TREE);
    let mut scene = stage.scene();
    scene.grace = Duration::from_secs(60);
    scene.hurry.begin();
    let outcome = outcomes_of(vec![ending(How::Kill, 1)], How::Kill, &scene).remove(0);
    assert_eq!(outcome.kind, OutcomeKind::Done);
    assert_eq!(stubborn.0.wait().unwrap().signal(), Some(9));
}

/// What ends at the end of its input takes no signal; what does not is killed after `grace`.
#[test]
fn the_ladder_is_as_gentle_as_it_can_be() {
    for (how, mut command, killed) in [
        (How::End, Command::new("cat"), false),
        (How::Force, Command::new("cat"), false),
        (How::End, sleep_command(), true),
        (How::Force, sleep_command(), true),
    ] {
        let stage = Stage::new(&format!("ladder-{how:?}-{killed}"));
        let (_gateway, server) = UnixStream::pair().unwrap();
        let mut one = Running::new(command.stdin(OwnedFd::from(server)));
        drop(command);
        stage.put(&one.0, TREE);
        let outcome = stage.end(how, one.0.id());
        assert_eq!(outcome.kind, OutcomeKind::Done, "{how:?}");
        let ended = outcome.ended.unwrap();
        assert_eq!((ended.killed, ended.processes), (killed, 1), "{how:?}");
        let status = one.0.wait().unwrap();
        assert_eq!(status.success(), !killed, "{how:?}: {status}");
    }
}

fn sleep_command() -> Command {
    let mut command = Command::new("sleep");
    command.arg("60");
    command
}
