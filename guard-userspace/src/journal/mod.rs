//! What the guard did, and why: each action before it is carried out and how it ended, as lines of JSON
//! in a file that is only added to.
//!
//! A thread of its own writes. Whoever acts waits for the line before for a second at most; the loop
//! never does. A disk that fails or is full stops nothing: that is said once, lines wait in memory (so
//! many), and it is tried again.

mod line;
mod write;

use crate::model::{Decision, Outcome, Stamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use write::{Job, Writer};

/// Its file's name in `state_dir`.
pub const FILE: &str = "journal.jsonl";

/// Lines that may wait for the disk.
const WAITING: usize = 4_096;

/// How long whoever acts waits for its line.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where lines go; copies of it go to threads that act.
#[derive(Clone, Debug)]
pub struct Journal {
    tell: SyncSender<Job>,
    file: PathBuf,
    /// Of this run of the agent.
    run: u64,
    last: Arc<AtomicU64>,
}

/// What the journal says of itself: why it does not write, or that it does again.
pub type Health = Option<String>;

/// The thread that writes. It ends when the last [`Journal`] is gone and all is written.
pub type Pen = JoinHandle<()>;

/// A line that may not be written yet.
#[derive(Debug, Default)]
pub struct Written(Option<Receiver<()>>);

impl Written {
    /// Waits for it, but not for long; says whether it is written.
    pub fn wait(self) -> bool {
        self.0
            .is_none_or(|written| written.recv_timeout(PATIENCE).is_ok())
    }
}

impl Journal {
    /// One in `state_dir`, which is made with the first line, if missing. `now_ms`: the time, in
    /// milliseconds since 1970, by which this agent's actions are told from others'.
    ///
    /// # Errors
    /// No thread.
    pub fn open(state_dir: &Path, now_ms: i64) -> io::Result<(Self, Pen, Receiver<Health>)> {
        let (tell, jobs) = mpsc::sync_channel(WAITING);
        let (say, health) = mpsc::channel();
        let file = state_dir.join(FILE);
        let writer = Writer::of(&file, say);
        let pen = Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&jobs))?;
        let journal = Self {
            tell,
            file,
            run: u64::try_from(now_ms).unwrap_or(0),
            last: Arc::default(),
        };
        Ok((journal, pen, health))
    }

    /// Something is about to be done; gives the id by which its outcome is known.
    pub fn intent(&self, at: Stamp, target: &str, decision: &Decision) -> (String, Written) {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let id = format!("{:x}-{number}", self.run);
        let line = line::intent(&id, at, target, decision);
        let written = self.write(&line);
        (id, written)
    }

    /// How it ended.
    pub fn outcome(&self, id: &str, at: Stamp, target: &str, outcome: &Outcome) {
        drop(self.write(&line::outcome(id, at, target, outcome)));
    }

    /// Something that must be known again, later or by another agent.
    pub fn note(&self, what: &str, at: Stamp, target: &str, value: Value) -> Written {
        self.write(&line::note(what, at, target, value))
    }

    /// The last note of that kind about a target. Reads all of the file.
    #[must_use]
    pub fn last_note(&self, what: &str, target: &str) -> Option<Value> {
        let [mut notes] = write::last_notes(&self.file, [what]);
        notes.remove(target)
    }

    fn write(&self, line: &Value) -> Written {
        let (written, wait) = mpsc::channel();
        let job = Job {
            line: format!("{line}\n"),
            written,
        };
        match self.tell.try_send(job) {
            // Full: the disk has failed for long, and that is said already.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
        Written(Some(wait))
    }
}

/// The last note of each of these kinds about each target, in the journal of `state_dir`. Reads all of it,
/// once.
#[must_use]
pub fn last_notes<const N: usize>(
    state_dir: &Path,
    kinds: [&str; N],
) -> [BTreeMap<String, Value>; N] {
    write::last_notes(&state_dir.join(FILE), kinds)
}

#[cfg(test)]
mod tests;
