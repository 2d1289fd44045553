//! Real processes; the kernel side's table is one of the test's.

use super::*;
use crate::actions::table::{SLOT, Table};
use crate::evidence::process::{kin, ns_per_tick};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TREE: u64 = 7;

/// A target that is looked at; its processes are ended with it.
struct Stage {
    table: Table,
    children: Vec<Child>,
}

impl Stage {
    fn new(name: &str) -> Self {
        Self {
            table: Table::new(&format!("look-{name}")),
            children: Vec::new(),
        }
    }

    /// Starts a process in a tree; gives its pid.
    fn start(&mut self, command: &mut Command, tree: u64) -> u32 {
        let child = command.spawn().unwrap();
        let pid = child.id();
        self.children.push(child);
        self.table.put(pid, tree);
        pid
    }

    fn look(&self, gateways: &[u32], trees: &[(u64, u32, TreeKind)]) -> Evidence {
        let trees = trees.iter().map(|(id, root, kind)| TreeSeen {
            id: *id,
            root: *root,
            kind: *kind,
            used: 1,
            reserved: 1,
            born_ns: 0,
            active_ns: 0,
        });
        look(&View {
            slot: SLOT,
            dir: self.table.dir.clone(),
            members: self.table.members(),
            trees: trees.collect(),
            gateways: gateways.iter().copied().collect(),
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn sleep() -> Command {
    let mut command = Command::new("sleep");
    command.arg("60").stdin(Stdio::null());
    command
}

#[test]
fn a_tree_is_an_orphan_when_its_parent_is_no_gateway() {
    let mut stage = Stage::new("orphan");
    let root = stage.start(&mut sleep(), TREE);
    let (me, tree) = (std::process::id(), TreeKind::Tree);
    let check = |gateways: &[u32], trees: &[(u64, u32, TreeKind)], expected| {
        let seen = stage.look(gateways, trees);
        assert_eq!(seen.trees.len(), 1, "{seen:?}");
        assert_eq!(seen.trees[0].orphan, expected, "{gateways:?} {trees:?}");
    };
    check(&[me], &[(TREE, root, tree)], false);
    check(&[1], &[(TREE, root, tree)], true);
    // Its root has ended: the eldest that lives is asked for.
    check(&[1], &[(TREE, 1, tree)], true);
    check(&[me], &[(TREE, 1, tree)], false);
    check(&[], &[(TREE, root, tree)], false);
    check(&[1], &[(TREE, root, TreeKind::Guests)], false);
    check(&[1], &[], false);
}

#[test]
fn who_writes_and_who_is_busy_is_seen() {
    let mut stage = Stage::new("busy");
    let (gateway, server) = UnixStream::pair().unwrap();
    let server: OwnedFd = server.into();
    let pid = stage.start(Command::new("sleep").arg("60").stdin(server), TREE);
    let trees = [(TREE, pid, TreeKind::Tree)];
    let quiet = stage.look(&[], &trees).trees[0];
    assert_eq!(quiet.writer, Writer::There);
    drop(gateway);
    // Not at once: another test's child holds a copy between its fork and its exec.
    until(|| stage.look(&[], &trees).trees[0].writer == Writer::Gone);

    // A parent that works is no leaf while its child sleeps.
    let script = "sleep 60 & while :; do :; done";
    let parent = stage.start(
        Command::new("sh").args(["-c", script]).stdin(Stdio::null()),
        9,
    );
    let child = first_child(parent);
    stage.table.put(child, 9);
    let cpu = |stage: &Stage| {
        let seen = stage.look(&[], &[(9, parent, TreeKind::Tree)]);
        let tree = seen.trees.into_iter().find(|tree| tree.tree == 9);
        tree.unwrap().leaf_cpu_ns
    };
    let before = cpu(&stage);
    let works = |pid| figures(pid).unwrap().cpu_ns > 2 * ns_per_tick();
    until(|| works(parent));
    assert_eq!(cpu(&stage), before, "the leaf sleeps");
    let busy = Command::new("sh")
        .args(["-c", "while :; do :; done"])
        .stdin(Stdio::null())
        .spawn();
    let mut busy = busy.unwrap();
    stage.table.put(busy.id(), 9);
    until(|| works(busy.id()));
    let after = cpu(&stage);
    let _ = (busy.kill(), busy.wait());
    assert!(after > before, "{after}");
    rustix::process::kill_process(
        Pid::from_raw(child as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

#[test]
fn parents_of_zombies_are_named() {
    let mut stage = Stage::new("zombies");
    let script = "for i in 1 2 3; do true & done; exec sleep 60";
    let parent = stage.start(
        Command::new("sh").args(["-c", script]).stdin(Stdio::null()),
        TREE,
    );
    until(|| {
        stage
            .look(&[], &[])
            .zombies
            .iter()
            .any(|all| all.count == 3)
    });
    let seen = stage.look(&[], &[]);
    assert_eq!(seen.zombies.len(), 1);
    let zombies = &seen.zombies[0];
    assert_eq!(
        (zombies.parent.pid, zombies.comm.as_str()),
        (parent, "sleep")
    );
    assert_eq!(zombies.parent.start_ticks, kin(parent).unwrap().start_ticks);
}

#[test]
fn a_pid_that_is_another_s_now_is_in_no_tree() {
    let mut stage = Stage::new("reused");
    let pid = stage.start(&mut sleep(), TREE);
    let mut entry = stage.table.entry(pid);
    entry.start_ns += 10 * ns_per_tick();
    stage.table.set(pid, entry);
    assert_eq!(stage.look(&[], &[]).trees, []);
}

/// All of them are seen; `cargo test -p guard-userspace --lib -- --nocapture five_hundred` prints how
/// long that takes.
#[test]
fn five_hundred_processes_are_looked_at() {
    let mut stage = Stage::new("many");
    let mut trees = Vec::new();
    for tree in 1..=125 {
        let pids: Vec<u32> = (0..4).map(|_| stage.start(&mut sleep(), tree)).collect();
        trees.push((tree, pids[0], TreeKind::Tree));
    }
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(stage.look(&[1], &trees).trees.len(), 125);
            began.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "a look at 500 processes: median {:?}, longest {:?}",
        times[2], times[4]
    );
}

fn first_child(parent: u32) -> u32 {
    let file = format!("/proc/{parent}/task/{parent}/children");
    let read = || {
        std::fs::read_to_string(&file)
            .ok()?
            .split(' ')
            .next()?
            .parse()
            .ok()
    };
    until(|| read().is_some());
    read().unwrap()
}

fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "not so after 20 s"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
