//! The guardian: a small process that ends the agent when the thread that answers execs hangs.
//!
//! While mounts are marked, an exec waits for an answer for as long as the agent lives: an agent that
//! is stopped, or hangs, stops its targets with it. The guardian reads the thread's heartbeat out of a
//! file in memory; a second without one, and it kills the agent, whose descriptors the kernel then
//! closes: whoever waits goes on. It ends when the agent ends, however that comes about.
//!
//! It is this program again, under a hidden argument, and needs nothing that it is not given: the
//! heart as its standard input, the agent's pidfd as its standard output. A pid could be someone
//! else's by the time it is signalled.

pub mod thawer;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal, setpriority_process,
};

use crate::kernel::deny::heart::{Pulse, now_ns};

/// What makes of this program a guardian.
const ARGUMENT: &str = "--guardian";

/// Between two looks while something is marked.
const LOOK: Duration = Duration::from_millis(100);

/// Between two looks while nothing is: nobody can wait for the agent.
const IDLE: Duration = Duration::from_millis(500);

/// Looks in a row that must find no beat. A machine that was paused shows an old beat once, before
/// the agent's thread has had its turn.
const LOOKS: u32 = 3;

/// Before others, as far as nice does that.
const NICE: i32 = -20;

/// Whether this command line makes a guardian.
pub fn is_meant(arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.skip(1).eq([ARGUMENT])
}

/// Watches until the agent ends, or ends it.
#[must_use]
pub fn run() -> ExitCode {
    // Both are better and neither is needed.
    let _ = rustix::thread::set_name(c"guard-guardian");
    let _ = setpriority_process(None, NICE);
    match watch(io::stdin().as_fd(), io::stdout().as_fd()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("metamcp-guard: the guardian cannot watch: {error}");
            ExitCode::FAILURE
        }
    }
}

fn watch(heart: BorrowedFd<'_>, agent: BorrowedFd<'_>) -> io::Result<()> {
    let mut without_beat = 0;
    loop {
        let pulse = Pulse::read(heart)?;
        let pause = if pulse.marked == 0 { IDLE } else { LOOK };
        if ends_within(agent, pause)? {
            return Ok(());
        }
        let stale = Pulse::read(heart)?.stale(now_ns());
        without_beat = if stale { without_beat + 1 } else { 0 };
        if without_beat >= LOOKS {
            pidfd_send_signal(agent, Signal::KILL)?;
            eprintln!(
                "metamcp-guard: the agent hung while execs waited for it, and was killed; they go on"
            );
            return Ok(());
        }
    }
}

/// A pidfd can be read when its process has ended.
fn ends_within(agent: BorrowedFd<'_>, pause: Duration) -> io::Result<bool> {
    let mut end = [PollFd::from_borrowed_fd(agent, PollFlags::IN)];
    let pause = Timespec::try_from(pause).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut end, Some(&pause)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A running guardian, as the agent has it. Dropped, it is ended.
#[derive(Debug)]
pub struct Guardian(Child);

impl Guardian {
    /// Starts one for this process. `program` is this program (`/proc/self/exe`).
    ///
    /// # Errors
    /// The kernel's: without pidfds (before Linux 5.3) there is none.
    pub fn start(program: &Path, heart: BorrowedFd<'_>) -> io::Result<Self> {
        let agent = pidfd_open(getpid(), PidfdFlags::empty())?;
        Command::new(program)
            .arg(ARGUMENT)
            .stdin(heart.try_clone_to_owned()?)
            .stdout(agent)
            .stderr(Stdio::inherit())
            .env_clear()
            .current_dir("/")
            // What a terminal sends to the agent it would not outlive either.
            .process_group(0)
            .spawn()
            .map(Self)
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Whether it lives. Where it does not, nothing may stay marked until another one does.
    pub fn lives(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // It is ours and not yet waited for: the pid cannot be another's.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guardian_has_one_argument() {
        let check = |words: &[&str], expected| {
            assert_eq!(
                is_meant(words.iter().map(OsString::from)),
                expected,
                "{words:?}"
            );
        };
        check(&["metamcp-guard", "--guardian"], true);
        check(&["metamcp-guard", "--guardian", "x"], false);
        check(&["metamcp-guard", "run", "--guardian"], false);
        check(&["metamcp-guard"], false);
        check(&[], false);
    }
}
