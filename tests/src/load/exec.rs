//! Spawns that execute a program, in the ways that programs are spawned.
//!
//! What is spawned stays until the storm lets all go at once, so that however slow the machine, all
//! of it is there together.

use std::io::{self, PipeReader, Read, pipe};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

use super::tiny::Tiny;
use super::{Tally, say_running};
use crate::raw;

/// How a program is spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// fork, then execve in the child: Node (libuv), Python, Go.
    Fork,
    /// clone(CLONE_VM | CLONE_VFORK), then execve: dash, uv, posix_spawn.
    Vfork,
}

/// A crowd of processes that execute a program.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// How many are spawned.
    pub n: u64,
    /// How long all stay after the last was spawned.
    pub hold: Duration,
    /// Pause between two spawns.
    pub pace: Duration,
    /// How they are spawned.
    pub how: How,
    /// One more argument for each, to be seen in its command line.
    pub argument: Option<String>,
    /// What they execute, where it is not this program.
    pub tiny: Option<Tiny>,
}

/// Spawns of a program that says that it runs.
///
/// # Errors
/// No pipe, or this program cannot be found.
pub fn execs(tally: Tally, crowd: &Crowd) -> io::Result<()> {
    spawn_all(tally, crowd, "hold")
}

/// Trees of three processes, as npx makes them: root, its shell, the server, who says that it runs.
///
/// # Errors
/// No pipe, or this program cannot be found.
pub fn trees(tally: Tally, crowd: &Crowd) -> io::Result<()> {
    spawn_all(tally, crowd, "tree-root")
}

fn spawn_all(tally: Tally, crowd: &Crowd, program: &str) -> io::Result<()> {
    let me = match &crowd.tiny {
        None => std::env::current_exe()?,
        Some(tiny) => tiny.path(),
    };
    let (running, says) = pipe()?;
    let (waits, lets_go) = pipe()?;
    let mut children = Vec::new();
    for _ in 0..crowd.n {
        let mut command = Command::new(&me);
        command
            .arg(program)
            .args(&crowd.argument)
            .stdin(waits.try_clone()?)
            .stdout(says.try_clone()?);
        children.extend(spawn(tally, &mut command, crowd.how));
        thread::sleep(crowd.pace);
    }
    drop(says);
    // A pipe holds 65,536 bytes, so nobody waited for this thread; it starts only now because a
    // process that forks should have no other.
    let heard = thread::spawn(move || count_bytes(running));
    thread::sleep(crowd.hold);
    drop(lets_go);
    children.into_iter().for_each(|child| tally.wait(child));
    tally.executed(heard.join().unwrap_or(0));
    Ok(())
}

/// One process of a tree: spawns the next (the one called `next`) and ends as that one ends.
/// A refused spawn ends it with npm's code.
#[must_use]
pub fn tree_member(next: &str) -> i32 {
    let spawned = std::env::current_exe().and_then(|me| Command::new(me).arg(next).status());
    spawned.ok().and_then(|status| status.code()).unwrap_or(245)
}

/// Says that it runs and stays until its standard input ends, a bounded time in any case.
#[must_use]
pub fn hold() -> i32 {
    say_running();
    let stdin = io::stdin();
    let mut until_its_end = [PollFd::new(&stdin, PollFlags::empty())];
    let longest = Timespec::try_from(super::LONGEST).ok();
    i32::from(poll(&mut until_its_end, longest.as_ref()).is_err())
}

fn spawn(tally: Tally, program: &mut Command, how: How) -> Option<Pid> {
    tally.tries();
    let child = match how {
        How::Vfork => by_vfork(program),
        How::Fork => raw::fork(|| tally.no_exec(&program.exec())),
    };
    tally.attempt(child)
}

/// Spawns a program; the child is waited for by pid, as those of forks are.
///
/// # Errors
/// The kernel's, of the clone or of the exec.
pub fn by_vfork(program: &mut Command) -> io::Result<Pid> {
    // std spawns by posix_spawn, which clones with CLONE_VM and CLONE_VFORK.
    let child = program.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("no pid"))
}

fn count_bytes(mut from: PipeReader) -> u64 {
    let mut heard = Vec::new();
    let _ = from.read_to_end(&mut heard);
    u64::try_from(heard.len()).unwrap_or(0)
}
