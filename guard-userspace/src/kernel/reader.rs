//! Empties the ring buffer into a bounded channel, from a thread of its own.
//!
//! SCHED_FIFO where it may be: with 8 busy loops on 2 CPUs a record reached such a thread within
//! 34 µs (p99), a normal one within 3.9 ms (6.18). It looks ten times a second while records
//! come, and at once when one wakes it. While the channel is full the ring buffer fills behind it, and the kernel side
//! counts what has no room.

use super::decode::{self, Event, EventKind};
use super::raw;
use crate::model::input::InputKind;
use aya::maps::{MapData, RingBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// Events that may wait for the agent's loop.
const WAITING: usize = 16_384;
/// How often it looks unasked.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same where it found nothing the last time: each look of a host that does nothing costs.
const LOOK_SELDOM: Duration = Duration::from_millis(250);

/// What cannot wait for the agent's loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A target (its slot) comes near its limits.
    Near(u32),
    /// One was refused a spawn.
    Refused,
}

/// What is read, and what was not.
#[derive(Debug)]
pub struct Reader {
    /// Events in the order in which they were written.
    pub events: mpsc::Receiver<Event>,
    undecoded: Arc<AtomicU64>,
}

impl Reader {
    /// Reads from now on, until this is dropped. `wakes` is told what cannot wait for the loop; it must
    /// not wait itself.
    ///
    /// # Errors
    /// No thread for it.
    pub fn start(
        ring: RingBuf<MapData>,
        wakes: impl Fn(Wake) + Send + 'static,
    ) -> io::Result<Self> {
        let (to, events) = mpsc::channel(WAITING);
        let undecoded = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&undecoded);
        thread::Builder::new()
            .name("ring-reader".to_owned())
            .spawn(move || read(ring, &to, &count, &wakes))?;
        Ok(Self { events, undecoded })
    }

    /// Records that could not be decoded.
    #[must_use]
    pub fn undecoded(&self) -> u64 {
        self.undecoded.load(Relaxed)
    }
}

/// Most records that are passed over: more than the ring buffer holds at once.
const PASSED: u64 = 200_000;

/// Passes over what was written for an agent that is gone; says how many records that was.
pub fn pass_over(ring: &mut RingBuf<MapData>) -> u64 {
    let mut passed = 0;
    while passed < PASSED && ring.next().is_some() {
        passed += 1;
    }
    passed
}

fn read(
    mut ring: RingBuf<MapData>,
    to: &mpsc::Sender<Event>,
    undecoded: &AtomicU64,
    wakes: &impl Fn(Wake),
) {
    if let Err(error) = raw::be_fifo() {
        tracing::debug!(%error, "the reader is a normal thread: not SCHED_FIFO");
    }
    let every = Timespec::try_from(LOOK_EVERY).ok();
    let seldom = Timespec::try_from(LOOK_SELDOM).ok();
    let mut found = false;
    while !to.is_closed() {
        let pause = if found { &every } else { &seldom };
        match poll(&mut [PollFd::new(&ring, PollFlags::IN)], pause.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!(%error, "the ring buffer cannot be waited for");
                return;
            }
        }
        found = false;
        while let Some(record) = ring.next() {
            found = true;
            match decode::event(&record) {
                Ok(Event {
                    slot,
                    kind: EventKind::Near,
                    ..
                }) => wakes(Wake::Near(slot)),
                Ok(event) => {
                    if matches!(event.kind, EventKind::Input(InputKind::Breach { .. })) {
                        wakes(Wake::Refused);
                    }
                    if to.blocking_send(event).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    if undecoded.fetch_add(1, Relaxed) == 0 {
                        tracing::error!(%error, "a record of the kernel side cannot be read");
                    }
                }
            }
        }
    }
}
