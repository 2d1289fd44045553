//! Spawns that execute a program, in the ways that programs are spawned.

use std::io::{self, PipeWriter, Read, pipe};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Pid;

use super::{Tally, say_running};
use crate::raw;

/// How a program is spawned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// fork, then execve in the child: Node (libuv), Python, Go.
    Fork,
    /// clone(CLONE_VM | CLONE_VFORK), then execve: dash, uv, posix_spawn.
    Vfork,
}

/// `n` spawns of a program that says that it runs and stays for `hold`; one each `pace`.
///
/// # Errors
/// No pipe, or this program cannot be found.
pub fn execs(tally: Tally, n: u64, hold: Duration, pace: Duration, how: How) -> io::Result<()> {
    let me = std::env::current_exe()?;
    let mut children = Vec::new();
    let heard = listening(|writer| {
        for _ in 0..n {
            let mut program = holder(&me, hold, writer.try_clone()?);
            children.extend(spawn(tally, &mut program, how));
            thread::sleep(pace);
        }
        Ok(())
    })?;
    children.into_iter().for_each(|child| tally.wait(child));
    tally.executed(heard.join().unwrap_or(0));
    Ok(())
}

/// `n` trees of three processes, as npx makes them: root, its shell, the server.
///
/// # Errors
/// No pipe, or this program cannot be found.
pub fn trees(tally: Tally, n: u64, hold: Duration, pace: Duration) -> io::Result<()> {
    let me = std::env::current_exe()?;
    let mut roots = Vec::new();
    let heard = listening(|writer| {
        for _ in 0..n {
            let mut root = Command::new(&me);
            root.args(["tree-root", &hold.as_millis().to_string()])
                .stdin(Stdio::null())
                .stdout(writer.try_clone()?);
            roots.extend(spawn(tally, &mut root, How::Fork));
            thread::sleep(pace);
        }
        Ok(())
    })?;
    roots.into_iter().for_each(|root| tally.wait(root));
    tally.executed(heard.join().unwrap_or(0));
    Ok(())
}

/// One process of a tree: spawns the next (the one called `next`) and ends as that one ends.
/// A refused spawn ends it with npm's code.
#[must_use]
pub fn tree_member(next: &str, hold: &str) -> i32 {
    let spawned =
        std::env::current_exe().and_then(|me| Command::new(me).args([next, hold]).status());
    spawned.ok().and_then(|status| status.code()).unwrap_or(245)
}

/// Says that it runs and stays.
#[must_use]
pub fn hold(for_: Duration) -> i32 {
    say_running();
    thread::sleep(for_);
    0
}

fn holder(me: &PathBuf, hold: Duration, says: PipeWriter) -> Command {
    let mut program = Command::new(me);
    program
        .args(["hold", &hold.as_millis().to_string()])
        .stdin(Stdio::null())
        .stdout(says);
    program
}

fn spawn(tally: Tally, program: &mut Command, how: How) -> Option<Pid> {
    tally.tries();
    let child = match how {
        // std spawns by posix_spawn, which clones with CLONE_VM and CLONE_VFORK. Its child is
        // waited for by pid, like the others.
        How::Vfork => program.spawn().and_then(|child| {
            i32::try_from(child.id())
                .ok()
                .and_then(Pid::from_raw)
                .ok_or_else(|| io::Error::other("no pid"))
        }),
        How::Fork => raw::fork(|| {
            tally.error(&program.exec());
            126
        }),
    };
    tally.attempt(child)
}

/// Runs `body` with a pipe's end to give to processes, and counts the bytes they write.
fn listening(
    body: impl FnOnce(&PipeWriter) -> io::Result<()>,
) -> io::Result<thread::JoinHandle<u64>> {
    let (mut reader, writer) = pipe()?;
    body(&writer)?;
    drop(writer);
    // A pipe holds 65,536 of these bytes, so nobody waits for the thread to start only now; it
    // starts now because the process that forks should have no other thread.
    Ok(thread::spawn(move || {
        let mut heard = Vec::new();
        let _ = reader.read_to_end(&mut heard);
        u64::try_from(heard.len()).unwrap_or(0)
    }))
}
