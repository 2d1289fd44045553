//! The thread that keeps group and marks.
//!
//! It has a table of descriptors of its own, which the thread that answers shares and the rest of the
//! agent, with the children that it forks, does not ([`super::descriptors`]). Walking to a mount can
//! also take long, and the agent's loop must not.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::thread::Builder;
use std::time::Duration;

use nix::sys::signal::SigSet;

use super::answer::{Answerer, STACK};
use super::group::Group;
use super::marks::Marks;
use super::question::Answer;
use super::shared::Shared;
use super::{Covered, DenyError, Judge, Started, Wanted, descriptors};

/// Longest that the agent waits for marks. What was begun is carried out all the same.
const LONGEST: Duration = Duration::from_millis(500);

/// Tasks that wait while one is carried out. Who has one more says it again later.
const WAITING: usize = 1;

/// Longest that it waits for the end.
const END: Duration = Duration::from_secs(1);

/// What is to be done.
pub enum Task {
    /// As [`super::Deny::cover`].
    Cover(Vec<Wanted>),
    /// As [`super::Deny::watch_file`].
    Watch(PathBuf),
    /// As [`super::Deny::forget_file`].
    Forget(PathBuf),
}

/// What it came to: for files, what is covered beside them is left out.
type Outcome = Result<Covered, DenyError>;

/// The running thread. Dropped, nothing is marked, who has asked is answered, and the group closed.
#[derive(Debug)]
pub struct Keeper {
    tasks: Option<SyncSender<(Task, SyncSender<Outcome>)>>,
    ended: Receiver<()>,
}

impl Keeper {
    /// Starts it, and with it the thread that answers.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(
        shared: Arc<Shared>,
        refusal: Answer,
        judge: Arc<Judge>,
    ) -> io::Result<(Self, Started)> {
        let (tasks, work) = sync_channel(WAITING);
        let (ending, ended) = channel();
        let (started, starts) = sync_channel(1);
        let thread = Builder::new().name("guard-marks".to_owned());
        thread.stack_size(STACK).spawn(move || {
            run(&shared, refusal, &judge, &started, &work);
            drop(ending);
        })?;
        let how = starts
            .recv()
            .map_err(|_| io::Error::other("the thread that marks ended at its start"))??;
        let tasks = Some(tasks);
        Ok((Self { tasks, ended }, how))
    }

    /// Has something done.
    ///
    /// # Errors
    /// As [`super::Deny::cover`].
    pub fn does(&self, task: Task) -> Outcome {
        let (done, outcome) = sync_channel(1);
        let Some(tasks) = &self.tasks else {
            return Err(DenyError::LetGo);
        };
        match tasks.try_send((task, done)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(DenyError::Late),
            Err(TrySendError::Disconnected(_)) => return Err(DenyError::LetGo),
        }
        match outcome.recv_timeout(LONGEST) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(DenyError::Late),
            Err(RecvTimeoutError::Disconnected) => Err(DenyError::LetGo),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.tasks.take());
        // Whether it ended or hangs: the heart tells the guardian.
        let _ = self.ended.recv_timeout(END);
    }
}

fn run(
    shared: &Arc<Shared>,
    refusal: Answer,
    judge: &Arc<Judge>,
    started: &SyncSender<io::Result<Started>>,
    work: &Receiver<(Task, SyncSender<Outcome>)>,
) {
    // A signal's handler writes to a descriptor of the process, whose number means another file in
    // this table. The thread that answers inherits the mask.
    let _ = SigSet::all().thread_block();
    let mut keep = judge.descriptors.clone();
    keep.push(shared.heart.as_fd().as_raw_fd());
    let own_descriptors = descriptors::leave_the_process(&keep);
    // The marks must be there before a storm has used up what is free. What the thread that answers
    // says of it is told.
    let _ = (judge.urgent)();
    let set_up = || -> io::Result<_> {
        let group = Arc::new(Group::new()?);
        let marks = Marks::new(Arc::clone(&group), Arc::clone(shared), Arc::clone(judge));
        let (answerer, urgent) =
            Answerer::start(group, Arc::clone(shared), refusal, Arc::clone(judge))?;
        Ok((marks, answerer, urgent))
    };
    let (mut marks, answerer) = match set_up() {
        Ok((marks, answerer, urgent)) => {
            let how = Started {
                own_descriptors,
                urgent,
            };
            let _ = started.send(Ok(how));
            (marks, answerer)
        }
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    while let Ok((task, done)) = work.recv() {
        let none = |()| Covered::default();
        let outcome = match task {
            Task::Cover(wanted) => marks.cover(&wanted),
            Task::Watch(file) => marks.watch_file(&file).map(none),
            Task::Forget(file) => marks.forget_file(&file).map(none),
        };
        // Whoever asked may have given up.
        let _ = done.send(outcome);
    }
    // No new questions, then no answers; with the second the group is closed.
    drop(marks);
    drop(answerer);
}
