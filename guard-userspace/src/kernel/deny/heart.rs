//! The heartbeat of the thread that answers, where another process can see it.
//!
//! Two words in a file in memory, written and read as a file, since a mapping would need unsafe
//! code. A reader that comes later (the guardian, started again) sees all there is to know.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{pread, pwrite};
use rustix::time::{ClockId, clock_gettime};

/// Longest between two beats of a thread that is well. Waking for it was half of what an idle agent took while
/// it was 200 ms (13 of 25 ms of CPU time in 20 s, 6.18); the thread comes before all that are not real-time.
pub const BEAT: Duration = Duration::from_millis(500);

/// A thread that has not beaten for so long hangs, and with it each exec that asks it.
pub const STALE: Duration = Duration::from_secs(1);

/// What the file says.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Pulse {
    /// The last beat, in ns of CLOCK_MONOTONIC; 0: none yet.
    pub beat_ns: u64,
    /// Whether anything is marked, that is, whether anybody can wait for an answer.
    pub marked: u64,
}

impl Pulse {
    /// What the file says now.
    ///
    /// # Errors
    /// It is no such file.
    pub fn read(file: BorrowedFd<'_>) -> io::Result<Self> {
        let mut bytes = [0u8; size_of::<Self>()];
        if pread(file, &mut bytes, 0)? != bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytemuck::pod_read_unaligned(&bytes))
    }

    /// Whether somebody may wait for a thread that hangs.
    #[must_use]
    pub fn stale(self, now_ns: u64) -> bool {
        let age = Duration::from_nanos(now_ns.saturating_sub(self.beat_ns));
        self.marked != 0 && age > STALE
    }
}

/// A heart.
#[derive(Debug)]
pub struct Heart {
    file: OwnedFd,
    beat_ns: AtomicU64,
    /// Whether anything is marked; the file follows.
    marked: Mutex<bool>,
    /// Nothing is marked any more and the file does not say so yet.
    unsaid: AtomicBool,
}

impl Heart {
    /// One that has not beaten yet.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        let file = memfd_create("guard-heart", MemfdFlags::CLOEXEC)?;
        pwrite(&file, bytemuck::bytes_of(&Pulse::zeroed()), 0)?;
        Ok(Self {
            file,
            beat_ns: AtomicU64::new(0),
            marked: Mutex::new(false),
            unsaid: AtomicBool::new(false),
        })
    }

    /// Beats.
    pub fn beat(&self, now_ns: u64) {
        self.beat_ns.store(now_ns, Relaxed);
        // The page is there since `new`. Should it fail all the same, the guardian ends us, which
        // is right: it could not see us hang.
        let _ = pwrite(&self.file, bytemuck::bytes_of(&now_ns), 0);
    }

    /// When it last beat, in ns of CLOCK_MONOTONIC; 0: never.
    #[must_use]
    pub fn beat_ns(&self) -> u64 {
        self.beat_ns.load(Relaxed)
    }

    /// Somebody may have to wait from now on: said before the first mark is set.
    ///
    /// # Errors
    /// The kernel's: then nothing may be marked.
    pub fn marked(&self) -> io::Result<()> {
        let mut marked = self.marked.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(true)?;
        *marked = true;
        Ok(())
    }

    /// Nobody asks any more. Who has asked may still wait, so the file goes on to say `marked`
    /// until the thread that answers has found nobody.
    pub fn unmarked(&self) {
        *self.marked.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.unsaid.store(true, Release);
    }

    /// The thread that answers has found nobody waiting. It waits for no lock: where another
    /// thread has it, it comes again.
    pub fn nobody_waits(&self) {
        if self.unsaid.load(Acquire)
            && let Ok(marked) = self.marked.try_lock()
        {
            self.unsaid.store(false, Relaxed);
            if !*marked && self.write(false).is_err() {
                self.unsaid.store(true, Relaxed);
            }
        }
    }

    fn write(&self, marked: bool) -> io::Result<()> {
        let word = u64::from(marked);
        let behind_the_beat = size_of::<u64>() as u64;
        pwrite(&self.file, bytemuck::bytes_of(&word), behind_the_beat)?;
        Ok(())
    }
}

impl AsFd for Heart {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// CLOCK_MONOTONIC in nanoseconds: the same in all processes of a host.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let rest = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_waited_for_can_be_stale() {
        let second = 1_000_000_000;
        let check = |beat_ns, marked, now_ns, expected| {
            let pulse = Pulse { beat_ns, marked };
            assert_eq!(pulse.stale(now_ns), expected, "{pulse:?} at {now_ns}");
        };
        check(5 * second, 1, 6 * second, false);
        check(5 * second, 1, 6 * second + 1, true);
        check(5 * second, 0, 60 * second, false);
        // Another CPU's clock may be behind ours by a little.
        check(5 * second, 1, 5 * second - 1, false);
    }

    #[test]
    fn a_later_reader_sees_the_last_beat() {
        let heart = Heart::new().unwrap();
        let check = |beat_ns, marked| {
            let pulse = Pulse::read(heart.as_fd()).unwrap();
            assert_eq!(pulse, Pulse { beat_ns, marked });
        };
        check(0, 0);
        heart.beat(7);
        heart.marked().unwrap();
        heart.beat(8);
        check(8, 1);
        assert_eq!(heart.beat_ns(), 8);
    }

    #[test]
    fn who_has_asked_is_waited_for_until_the_thread_has_found_nobody() {
        let heart = Heart::new().unwrap();
        let check = |marked| assert_eq!(Pulse::read(heart.as_fd()).unwrap().marked, marked);
        heart.nobody_waits();
        heart.marked().unwrap();
        heart.nobody_waits();
        check(1);
        heart.unmarked();
        check(1);
        heart.nobody_waits();
        check(0);
        // Marked again before the thread came by: it must not take that back.
        heart.marked().unwrap();
        heart.unmarked();
        heart.marked().unwrap();
        heart.nobody_waits();
        check(1);
        let held = heart.marked.lock().unwrap();
        heart.nobody_waits();
        drop(held);
        heart.unmarked();
        heart.nobody_waits();
        check(0);
    }
}
