//! The thread that answers.
//!
//! Each exec on a marked mount waits for it, so it waits for nobody: it looks into a map by way of
//! the caller's `look`, answers, and goes on. It executes and opens nothing, waits for no lock,
//! prints nothing and allocates nothing once it runs.

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::group::{Group, Place};
use super::heart::{BEAT, now_ns};
use super::question::{self, Answer, Event, Read};
use super::shared::Shared;
use super::tally::Tally;
use super::{Judge, Verdict};

/// The stack of a thread that calls little; all of it is locked in memory with the agent's.
pub const STACK: usize = 256 << 10;

/// The running thread. Dropped, it answers who has asked, and ends.
#[derive(Debug)]
pub struct Answerer {
    thread: Option<JoinHandle<()>>,
    stop: Option<PipeWriter>,
}

impl Answerer {
    /// Starts it; it beats when this returns. Says what `urgent` said.
    ///
    /// # Errors
    /// No thread, no pipe.
    pub fn start(
        group: Arc<Group>,
        shared: Arc<Shared>,
        refusal: Answer,
        judge: Arc<Judge>,
    ) -> io::Result<(Self, io::Result<()>)> {
        let (stopped, stop) = pipe()?;
        let (started, starts) = sync_channel(1);
        let worker = Worker {
            group,
            shared,
            refusal,
            judge,
            stopped,
        };
        let thread = Builder::new()
            .name("guard-deny".to_owned())
            .stack_size(STACK)
            .spawn(move || worker.run(&started))?;
        let urgent = starts
            .recv()
            .map_err(|_| io::Error::other("the answering thread ended at its start"))?;
        let answerer = Self {
            thread: Some(thread),
            stop: Some(stop),
        };
        Ok((answerer, urgent))
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
    group: Arc<Group>,
    shared: Arc<Shared>,
    refusal: Answer,
    judge: Arc<Judge>,
    stopped: PipeReader,
}

impl Worker {
    fn run(self, started: &SyncSender<io::Result<()>>) {
        let urgent = (self.judge.urgent)();
        self.shared.heart.beat(now_ns());
        let _ = started.send(urgent);
        self.serve();
        // The marks are gone by now, so this closes the group: the kernel lets go on who has asked
        // since the last answer.
        let Self { group, shared, .. } = self;
        drop(group);
        shared.heart.nobody_waits();
    }

    fn serve(&self) {
        let half = u64::try_from(BEAT.as_nanos() / 2).unwrap_or(0);
        let mut beaten = now_ns();
        loop {
            let now = now_ns();
            if now.saturating_sub(beaten) > half {
                self.shared.heart.beat(now);
                beaten = now;
            }
            match question::read(&self.group) {
                Ok(Read::Asked(event)) => self.answer(&event),
                Ok(Read::Overflow) => Tally::count(&self.shared.tally.overflows),
                Ok(Read::Nothing) => {
                    self.shared.heart.nobody_waits();
                    if self.wait() {
                        return;
                    }
                }
                Err(_) => {
                    Tally::count(&self.shared.tally.unread);
                    self.let_go();
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
            PollFd::new(&self.group, PollFlags::IN),
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
        match event.answer(&self.group, answer) {
            Ok(()) if verdict == Verdict::Deny => Tally::count(&tally.denied),
            Ok(()) => {}
            Err(_) => {
                Tally::count(&tally.failed);
                let _ = event.answer(&self.group, Answer::Allow);
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
            self.let_go();
            Verdict::Allow
        })
    }

    /// Nobody shall ask any more, for good. The word comes first: whoever marks looks at it
    /// afterwards.
    fn let_go(&self) {
        if self.shared.let_go() {
            // Where this fails, the question is still answered: with Allow.
            let _ = self.group.unmark_all(Place::Mount);
            let _ = self.group.unmark_all(Place::File);
        }
    }
}
