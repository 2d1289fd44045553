//! The thread that answers.
//!
//! Each exec on a marked mount waits for it, so it waits for nobody: it looks into a map by way of
//! the caller's `look`, answers, and goes on. It executes and opens nothing, takes no lock, prints
//! nothing and allocates nothing once it runs. It shares no table of descriptors with the rest of
//! the process ([`descriptors`]).

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::descriptors;
use super::group::{Answer, Event, Group, Place, Read};
use super::heart::{BEAT, Heart, now_ns};
use super::tally::Tally;
use super::{Judge, Started, Verdict};

/// Beats at least so often, however many ask.
const BEAT_NS: u64 = BEAT.as_nanos() as u64 / 2;

/// What the thread and the rest of the agent share.
#[derive(Debug)]
pub struct Shared {
    /// Who asks.
    pub group: Group,
    /// Whether the thread lives.
    pub heart: Heart,
    /// What it has done.
    pub tally: Tally,
    /// It has let go: it marks nothing and allows all, because it could not read who asks.
    let_go: AtomicBool,
}

impl Shared {
    /// A group without marks, and a heart that does not beat yet.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            group: Group::new()?,
            heart: Heart::new()?,
            tally: Tally::default(),
            let_go: AtomicBool::new(false),
        })
    }

    /// Whether it has let go.
    pub fn has_let_go(&self) -> bool {
        self.let_go.load(SeqCst)
    }

    /// Nobody shall ask any more, for good. The order matters: whoever marks looks at the word
    /// afterwards.
    pub fn let_go(&self) {
        if self.let_go.swap(true, SeqCst) {
            return;
        }
        // Nothing can be done where this fails: the guardian sees to a thread that hangs.
        let _ = self.group.unmark_all(Place::Mount);
        let _ = self.group.unmark_all(Place::File);
    }
}

/// The running thread. Dropped, it ends; who waits then goes on when the group is closed.
#[derive(Debug)]
pub struct Answerer {
    thread: Option<JoinHandle<()>>,
    stop: Option<PipeWriter>,
    /// Dropped here and not by the thread, whose table of descriptors is not the one that what it
    /// holds was opened in.
    _judge: Arc<Judge>,
}

impl Answerer {
    /// Starts it; it answers and beats when this returns.
    ///
    /// # Errors
    /// No thread, no pipe.
    pub fn start(
        shared: Arc<Shared>,
        refusal: Answer,
        judge: Judge,
    ) -> io::Result<(Self, Started)> {
        let (stopped, stop) = pipe()?;
        let (started, starts) = sync_channel(1);
        let judge = Arc::new(judge);
        let worker = Worker {
            shared,
            refusal,
            judge: Arc::clone(&judge),
            stopped,
        };
        let thread = Builder::new()
            .name("guard-deny".to_owned())
            .spawn(move || worker.run(&started))?;
        let how = starts
            .recv()
            .map_err(|_| io::Error::other("the answering thread ended at its start"))?;
        let answerer = Self {
            thread: Some(thread),
            stop: Some(stop),
            _judge: judge,
        };
        Ok((answerer, how))
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panics end in `verdict`.
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    refusal: Answer,
    judge: Arc<Judge>,
    stopped: PipeReader,
}

impl Worker {
    fn run(self, started: &SyncSender<Started>) {
        let mut keep: Vec<RawFd> = self.judge.descriptors.clone();
        keep.push(self.shared.group.as_fd().as_raw_fd());
        keep.push(self.shared.heart.as_fd().as_raw_fd());
        keep.push(self.stopped.as_raw_fd());
        let how = Started {
            own_descriptors: descriptors::leave_the_process(&keep),
            urgent: (self.judge.urgent)(),
        };
        let private = how.own_descriptors.is_ok();
        self.shared.heart.beat(now_ns());
        let _ = started.send(how);
        self.serve();
        if private {
            // The group is closed when its last descriptor is. A thread that is joined may still
            // have its table for a moment, and who waits would wait for that.
            descriptors::close_all(keep);
            std::mem::forget(self.stopped);
        }
    }

    fn serve(&self) {
        let mut beaten = 0;
        loop {
            let now = now_ns();
            if now.saturating_sub(beaten) > BEAT_NS {
                self.shared.heart.beat(now);
                beaten = now;
            }
            match self.shared.group.read() {
                Ok(Read::Asked(event)) => self.answer(&event),
                Ok(Read::Overflow) => Tally::count(&self.shared.tally.overflows),
                Ok(Read::Nothing) => {
                    if self.wait() {
                        return;
                    }
                }
                Err(_) => {
                    Tally::count(&self.shared.tally.unread);
                    self.shared.let_go();
                    // An error that stays must not take a CPU from everybody else.
                    std::thread::sleep(Duration::from_millis(1));
                    if self.wait() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until somebody asks or a beat is due; says whether to stop.
    fn wait(&self) -> bool {
        let mut both = [
            PollFd::new(&self.shared.group, PollFlags::IN),
            PollFd::new(&self.stopped, PollFlags::IN),
        ];
        let beat = Timespec::try_from(BEAT / 2).ok();
        let ready = poll(&mut both, beat.as_ref());
        ready.is_ok() && both.last().is_some_and(|stop| !stop.revents().is_empty())
    }

    fn answer(&self, event: &Event) {
        let read = now_ns();
        let tally = &self.shared.tally;
        Tally::count(&tally.asked);
        let verdict = self.verdict(event.pid);
        let answer = match verdict {
            Verdict::Allow => Answer::Allow,
            Verdict::Deny => self.refusal,
        };
        match self.shared.group.answer(event, answer) {
            Ok(()) if verdict == Verdict::Deny => Tally::count(&tally.denied),
            Ok(()) => {}
            Err(_) => {
                Tally::count(&tally.failed);
                let _ = self.shared.group.answer(event, Answer::Allow);
            }
        }
        tally.took(now_ns().saturating_sub(read));
    }

    fn verdict(&self, pid: i32) -> Verdict {
        if self.shared.has_let_go() {
            return Verdict::Allow;
        }
        // Who asks would wait for ever for a thread that has panicked.
        catch_unwind(AssertUnwindSafe(|| (self.judge.look)(pid))).unwrap_or_else(|_| {
            self.shared.let_go();
            Verdict::Allow
        })
    }
}
