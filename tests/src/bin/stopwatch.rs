//! `stopwatch`: does one thing many times and prints as one line of JSON how long it took.
//!
//! It is to be put into a cgroup (`--cgroup PATH`) and a mount namespace of its own (`--apart`), as
//! the storms are.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use guard_tests::bench::{Once, Times};
use guard_tests::raw;
use rustix::process::{WaitOptions, waitpid};

const USAGE: &str = "\
usage: stopwatch [--apart] [--cgroup PATH] [--rss MB] [--pace-us U] WHAT N [THREADS]
  --rss MB  with so much memory of its own, in small pages
  --pace-us U   each so long after the one before, where it takes less
  spawns    posix_spawn of /bin/true, until its exec has succeeded or failed
  forks     fork, end at once, wait
  killed    posix_spawn of /bin/true and wait; fails as -9 where it died by SIGKILL";

/// Between coming into a cgroup and the first time: a guard that asks about execs has to find the mounts
/// that came with us.
const SETTLE: Duration = Duration::from_millis(500);

/// Most that one run may do.
const MOST: usize = 100_000;
/// Most memory that one run may have, in MB.
const MOST_MB: usize = 1_000;

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stopwatch: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(words: Vec<String>) -> io::Result<()> {
    let mut words = words.into_iter();
    let number = |word: String| word.parse::<usize>().map_err(|_| bad("that is no number"));
    let mut word = || words.next().ok_or_else(|| bad("a word is missing"));
    let mut what = word()?;
    if what == "--apart" {
        raw::own_mounts()?;
        what = word()?;
    }
    if what == "--cgroup" {
        std::fs::write(PathBuf::from(word()?).join("cgroup.procs"), "0")?;
        std::thread::sleep(SETTLE);
        what = word()?;
    }
    let mut memory = Vec::new();
    if what == "--rss" {
        let mb = number(word()?)?.min(MOST_MB);
        memory = raw::small_pages(mb << 20)?;
        what = word()?;
    }
    let mut pace = Duration::ZERO;
    if what == "--pace-us" {
        let us = number(word()?)?.min(1_000_000);
        pace = Duration::from_micros(u64::try_from(us).unwrap_or_default());
        what = word()?;
    }
    let once: fn() -> io::Result<Once> = match what.as_str() {
        "spawns" => spawn,
        "forks" => fork,
        "killed" => killed,
        other => return Err(bad(&format!("nothing is called {other:?}"))),
    };
    let n = number(word()?)?.min(MOST);
    let threads = word().map_or(Ok(1), number)?.clamp(1, 64);
    let share = move || {
        let each = |_| {
            let once = once()?;
            std::thread::sleep(pace.saturating_sub(once.took));
            Ok(once)
        };
        (0..n / threads).map(each).collect::<io::Result<Vec<_>>>()
    };
    let threads: Vec<_> = (0..threads).map(|_| std::thread::spawn(share)).collect();
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.join().map_err(|_| bad("a thread panicked"))??);
    }
    drop(memory);
    let times = serde_json::to_string(&Times::of(all)).map_err(io::Error::other)?;
    println!("{times}");
    Ok(())
}

/// What was refused took its time too.
fn spawn() -> io::Result<Once> {
    let since = Instant::now();
    let child = Command::new("/bin/true").spawn();
    let took = since.elapsed();
    let failed = match child {
        Ok(mut child) => child.wait().map(|_| None)?,
        Err(error) => Some(error.raw_os_error().ok_or(error)?),
    };
    Ok(Once { took, failed })
}

fn killed() -> io::Result<Once> {
    let since = Instant::now();
    let status = Command::new("/bin/true").spawn()?.wait()?;
    let took = since.elapsed();
    let failed = status.signal().map(|signal| -signal);
    Ok(Once { took, failed })
}

fn fork() -> io::Result<Once> {
    let since = Instant::now();
    let failed = match raw::fork(|| 0) {
        Ok(child) => waitpid(Some(child), WaitOptions::empty()).map(|_| None)?,
        Err(error) => Some(error.raw_os_error().ok_or(error)?),
    };
    let took = since.elapsed();
    Ok(Once { took, failed })
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
