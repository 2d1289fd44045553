//! A process that does what the lines on its standard input say, and answers each: for trees that a
//! test makes and ends one by one.
//!
//! What it makes stays until it is told to end it, or ends itself.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, WaitOptions, wait, waitpid};

use super::LONGEST;
use crate::raw;

/// Who it has made, each with what keeps it alive.
type Made = BTreeMap<i32, PipeWriter>;

/// Acts until its standard input ends; then it ends, and so does all that it has made.
///
/// # Errors
/// A line that it does not understand, or no pipe.
pub fn act() -> io::Result<i32> {
    raw::ends_after(LONGEST);
    let mut made = Made::new();
    answer(&format!("{{\"pid\":{}}}", std::process::id()))?;
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let said = match words.as_slice() {
            ["tree", name, size] => tree(&mut made, name, size)?,
            ["fork", size] => forked(&mut made, number(size)?, false)?,
            ["churn", size] => forked(&mut made, number(size)?, true)?,
            ["end", pid] => end(&mut made, number(pid)?)?,
            ["become", name] => return Err(executed(&made, name)),
            _ => return Err(io::Error::other(format!("no actor does {line:?}"))),
        };
        answer(&said)?;
    }
    // What keeps them alive goes with this process.
    Ok(0)
}

fn answer(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

fn number<T: TryFrom<u64>>(word: &str) -> io::Result<T> {
    let number = word.parse().ok().and_then(|n: u64| T::try_from(n).ok());
    number.ok_or_else(|| io::Error::other(format!("{word} is no number")))
}

/// A child that executes this program as `name`, and forks until its tree has that size.
fn tree(made: &mut Made, name: &str, size: &str) -> io::Result<String> {
    let (life, ours) = pipe()?;
    let (heard, says) = pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(name).args(["tree-of", size]);
    let spawned = command.stdin(life).stdout(says).spawn();
    // It holds our ends of both pipes.
    drop(command);
    match spawned {
        Ok(child) => grown(made, number(&child.id().to_string())?, heard, ours),
        Err(error) => Ok(refused(&error)),
    }
}

/// A child that executes nothing, and has that size with its own children; where it is to `churn`,
/// each of those forks and ends all the time.
fn forked(made: &mut Made, size: u64, churn: bool) -> io::Result<String> {
    let (life, ours) = pipe()?;
    let (heard, mut says) = pipe()?;
    let mut ours = Some(ours);
    let child = raw::fork(|| {
        // What keeps it and its siblings alive is its parent's alone.
        made.clear();
        ours = None;
        i32::from(grow(&life, &mut says, size, churn).is_err())
    });
    drop((life, says));
    match (child, ours) {
        (Ok(child), Some(ours)) => grown(made, child.as_raw_pid(), heard, ours),
        (Err(error), _) => Ok(refused(&error)),
        (Ok(_), None) => Err(io::Error::other("its pipe is gone")),
    }
}

fn refused(error: &io::Error) -> String {
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    format!("{{\"errno\":{errno}}}")
}

/// Waits until a child says its size, or has ended.
fn grown(made: &mut Made, pid: i32, heard: PipeReader, ours: PipeWriter) -> io::Result<String> {
    let mut size = String::new();
    BufReader::new(heard).read_line(&mut size)?;
    if size.is_empty() {
        drop(ours);
        return ended(pid);
    }
    made.insert(pid, ours);
    Ok(format!("{{\"pid\":{pid},\"size\":{}}}", size.trim()))
}

/// The root of a tree, and all that is in it: stays until its standard input ends.
///
/// # Errors
/// The kernel's.
pub fn tree_of(size: u64) -> io::Result<i32> {
    let (life, mut says) = (io::stdin(), io::stdout());
    grow(&life, &mut says, size, false).map(|()| 0)
}

fn grow(life: &impl AsFd, says: &mut impl Write, size: u64, churn: bool) -> io::Result<()> {
    let mut there = 1_u64;
    // Who comes and goes begins when all are there: else it may take the last slot from one of them.
    let (begins, begin) = pipe()?;
    let mut begin = Some(begin);
    for _ in 1..size {
        let child = raw::fork(|| {
            begin = None;
            if churn {
                let _ = stay(&begins, None);
                come_and_go(life);
            }
            i32::from(stay(life, None).is_err())
        });
        there += u64::from(child.is_ok());
    }
    drop(begin);
    writeln!(says, "{there}")?;
    says.flush()?;
    stay(life, None)?;
    while wait(WaitOptions::empty()).is_ok() {}
    Ok(())
}

/// Children with a child each, one after the other.
fn come_and_go(life: &impl AsFd) {
    let at_once = Timespec::default();
    while stay(life, Some(&at_once)).is_ok_and(|over| !over) {
        let child = raw::fork(|| {
            let grandchild = raw::fork(|| 0);
            i32::from(grandchild.is_ok_and(|pid| waitpid(Some(pid), WaitOptions::empty()).is_err()))
        });
        if let Ok(child) = child {
            let _ = waitpid(Some(child), WaitOptions::empty());
        }
    }
}

/// Waits for the end of what keeps this process alive, a bounded time in any case; whether it came.
fn stay(life: &impl AsFd, limit: Option<&Timespec>) -> io::Result<bool> {
    let longest = Timespec::try_from(LONGEST).ok();
    let mut until_its_end = [PollFd::new(life, PollFlags::empty())];
    Ok(poll(&mut until_its_end, limit.or(longest.as_ref()))? > 0)
}

fn end(made: &mut Made, pid: i32) -> io::Result<String> {
    made.remove(&pid);
    ended(pid)
}

/// How a child has ended, when it has.
fn ended(pid: i32) -> io::Result<String> {
    let Some((_, status)) = waitpid(Pid::from_raw(pid), WaitOptions::empty())? else {
        return Err(io::Error::other("it has not ended"));
    };
    let status = ExitStatus::from_raw(status.as_raw());
    let (code, signal) = (status.code().unwrap_or(-1), status.signal().unwrap_or(0));
    Ok(format!(
        "{{\"pid\":{pid},\"code\":{code},\"signal\":{signal}}}"
    ))
}

/// Executes this program as `name`. What was made stays until that ends.
fn executed(made: &Made, name: &str) -> io::Error {
    for life in made.values() {
        if let Err(error) = fcntl_setfd(life, FdFlags::empty()) {
            return error.into();
        }
    }
    match std::env::current_exe() {
        Ok(me) => Command::new(me).arg0(name).arg("actor").exec(),
        Err(error) => error,
    }
}
