//! The doubling fork bomb: every process forks and goes on, as `:(){ :|:& };:` does.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{getpid, set_child_subreaper};

use super::Tally;
use crate::raw;

/// What bounds a bomb.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Generations: at most 2^depth processes.
    pub depth: u32,
    /// When every process of it goes home.
    pub until: Instant,
    /// Attempts by all of its processes together.
    pub attempts: u64,
    /// How long a process that has done its part stays.
    pub hold: Duration,
}

/// Pause after a refused fork, so that a refused bomb presses on without eating the machine.
const AFTER_REFUSAL: Duration = Duration::from_micros(200);

/// Lets the bomb go off; returns when all of it is gone.
///
/// What loses its parent (a condemned process is killed, its children are not) comes to this
/// process, so that every end is seen.
pub fn explode(tally: Tally, bounds: Bounds) {
    let _ = set_child_subreaper(Some(getpid()));
    generation(tally, bounds, 0);
    tally.wait_all();
}

fn generation(tally: Tally, bounds: Bounds, from: u32) {
    let mut depth = from;
    while depth < bounds.depth && Instant::now() < bounds.until {
        if tally.tries() >= bounds.attempts {
            break;
        }
        depth += 1;
        let child = raw::fork(|| {
            tally.executed(1);
            generation(tally, bounds, depth);
            tally.wait_all();
            0
        });
        if tally.attempt(child).is_none() {
            depth -= 1;
            thread::sleep(AFTER_REFUSAL);
        }
    }
    let left = bounds.until.saturating_duration_since(Instant::now());
    thread::sleep(left.min(bounds.hold));
}

/// A bomb of programs: what it forks executes this program anew, and that forks as well. `attempts`
/// are each process's own, and so is what is reported.
///
/// # Errors
/// This program cannot be found.
pub fn programs(tally: Tally, bounds: Bounds) -> io::Result<()> {
    let me = std::env::current_exe()?;
    let mut depth = bounds.depth;
    while depth > 0 && tally.tries() < bounds.attempts {
        let left = bounds.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        depth -= 1;
        let mut next = Command::new(&me);
        next.args(["programs", &depth.to_string()])
            .args(["--seconds", &left.as_secs().to_string()])
            .args(["--attempts", &bounds.attempts.to_string()])
            .args(["--hold", &bounds.hold.as_millis().to_string()])
            // The report is the first one's.
            .stdout(Stdio::null());
        let child = raw::fork(|| tally.no_exec(&next.exec()));
        if tally.attempt(child).is_none() {
            depth += 1;
            thread::sleep(AFTER_REFUSAL);
        }
    }
    let left = bounds.until.saturating_duration_since(Instant::now());
    thread::sleep(left.min(bounds.hold));
    tally.wait_all();
    Ok(())
}
