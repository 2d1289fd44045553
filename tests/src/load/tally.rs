//! What a storm tried and what became of it, counted in memory that all its forks share.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, wait, waitpid};
use serde::{Deserialize, Serialize};

use crate::raw;

/// The counts, one word each.
#[derive(Clone, Copy)]
pub struct Tally {
    words: &'static [AtomicU64; WORDS],
    began: Instant,
}

const WORDS: usize = 7;
const TRIED: usize = 0;
const MADE: usize = 1;
const REFUSED: usize = 2;
const KILLED: usize = 3;
const FAILED: usize = 4;
const EXECUTED: usize = 5;
const FIRST_ERRNO: usize = 6;

/// The one line of JSON that a storm prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which storm.
    pub mode: String,
    /// Attempts to make a process or thread.
    pub tried: u64,
    /// Attempts that made one.
    pub made: u64,
    /// Attempts refused with EAGAIN, at the fork or at the exec of what was forked.
    pub refused: u64,
    /// Those that died by SIGKILL.
    pub killed: u64,
    /// Those that ended in another way than told to: an exec refused, a code that is not 0.
    pub failed: u64,
    /// Those that ran the program they had executed, by their own word; of sleepers and of a bomb, which
    /// execute none, those that ran at all.
    pub executed: u64,
    /// The first error seen, 0 for none.
    pub first_errno: i32,
    /// From the first attempt to the last end.
    pub elapsed_ms: u64,
}

/// The code with which a child ends whose exec was refused with EAGAIN (EX_TEMPFAIL).
const REFUSED_EXEC: i32 = 75;

/// The code with which a child ends that could not execute anything, for another reason.
const NO_EXEC: i32 = 126;

impl Tally {
    /// All zero.
    ///
    /// # Errors
    /// No memory to share.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            words: raw::shared_words()?,
            began: Instant::now(),
        })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        // Every index is one of the constants above.
        self.words.get(index).unwrap_or(&self.words[0])
    }

    /// An attempt begins; says how many there were before.
    pub fn tries(&self) -> u64 {
        self.word(TRIED).fetch_add(1, SeqCst)
    }

    /// An attempt ended; gives the child where there is one.
    pub fn attempt<T>(&self, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(made) => {
                self.word(MADE).fetch_add(1, SeqCst);
                Some(made)
            }
            Err(error) => {
                self.error(&error);
                let refused = error.kind() == io::ErrorKind::WouldBlock;
                let word = if refused { REFUSED } else { FAILED };
                self.word(word).fetch_add(1, SeqCst);
                None
            }
        }
    }

    /// Remembers the first error.
    pub fn error(&self, error: &io::Error) {
        let errno = u64::try_from(error.raw_os_error().unwrap_or(libc::EIO)).unwrap_or(0);
        let _ = self
            .word(FIRST_ERRNO)
            .compare_exchange(0, errno, SeqCst, SeqCst);
    }

    /// In a child whose exec failed: remembers the error; gives the code to end with.
    pub fn no_exec(&self, error: &io::Error) -> i32 {
        self.error(error);
        if error.kind() == io::ErrorKind::WouldBlock {
            REFUSED_EXEC
        } else {
            NO_EXEC
        }
    }

    /// `n` processes have said that they run.
    pub fn executed(&self, n: u64) {
        self.word(EXECUTED).fetch_add(n, SeqCst);
    }

    /// Waits for one child and counts how it ended.
    pub fn wait(&self, child: Pid) {
        self.ended(Some(child));
    }

    /// Waits for every child that there is.
    pub fn wait_all(&self) {
        while self.ended(None) {}
    }

    fn ended(&self, child: Option<Pid>) -> bool {
        loop {
            // `waitpid` without a pid is for those of this process's group alone.
            let ended = match child {
                Some(child) => waitpid(Some(child), WaitOptions::empty()),
                None => wait(WaitOptions::empty()),
            };
            match ended {
                Ok(Some((_, status))) => {
                    if status.terminating_signal() == Some(libc::SIGKILL) {
                        self.word(KILLED).fetch_add(1, SeqCst);
                    } else if status.exit_status() == Some(REFUSED_EXEC) {
                        self.word(REFUSED).fetch_add(1, SeqCst);
                    } else if status.exit_status() != Some(0) {
                        self.word(FAILED).fetch_add(1, SeqCst);
                    }
                    return true;
                }
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return false,
            }
        }
    }

    /// Counts as they are now.
    #[must_use]
    pub fn report(&self, mode: &str) -> Report {
        let of = |index| self.word(index).load(SeqCst);
        Report {
            mode: mode.to_owned(),
            tried: of(TRIED),
            made: of(MADE),
            refused: of(REFUSED),
            killed: of(KILLED),
            failed: of(FAILED),
            executed: of(EXECUTED),
            first_errno: i32::try_from(of(FIRST_ERRNO)).unwrap_or(i32::MAX),
            elapsed_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}
