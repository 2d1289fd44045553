//! The thread that writes, and what it does when the disk does not.

use super::Health;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// A disk that failed is tried again so often.
const AGAIN: Duration = Duration::from_secs(2);

/// Lines that are kept while the disk does not take them.
const KEPT: usize = 1_024;

/// From this size on the file is put aside, in place of the one before, in bytes.
const LARGE: u64 = 64 << 20;

/// One line, and whom to tell that it is written.
#[derive(Debug)]
pub struct Job {
    /// With its end.
    pub line: String,
    /// May be gone.
    pub written: Sender<()>,
}

/// What writes.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    open: Option<Open>,
    kept: VecDeque<Job>,
    dropped: u64,
    say: Sender<Health>,
    is_ill: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// So much of it are whole lines.
    length: u64,
}

impl Writer {
    /// To this file, which is made with the first line.
    pub fn of(path: &Path, say: Sender<Health>) -> Self {
        Self {
            path: path.to_owned(),
            open: None,
            kept: VecDeque::new(),
            dropped: 0,
            say,
            is_ill: false,
        }
    }

    /// Writes until nobody can tell it anything any more.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let next = if self.kept.is_empty() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(AGAIN)
            };
            match next {
                Ok(job) => self.keep(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.write();
        }
        self.write();
    }

    fn keep(&mut self, job: Job) {
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
            self.dropped += 1;
        }
        self.kept.push_back(job);
    }

    /// Writes what is kept, in order.
    fn write(&mut self) {
        while let Some(job) = self.kept.pop_front() {
            if let Err(error) = self.write_one(&job.line) {
                // Opened anew the next time: the disk may be another one by then.
                self.open = None;
                self.kept.push_front(job);
                return self.ill(&error);
            }
            let _ = job.written.send(());
        }
        self.well();
    }

    fn write_one(&mut self, line: &str) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) if open.length < LARGE => open,
            open => open.insert(begin(&self.path)?),
        };
        if let Err(error) = open.file.write_all(line.as_bytes()) {
            // Half a line is none.
            let _ = open.file.set_len(open.length);
            return Err(error);
        }
        open.length += u64::try_from(line.len()).unwrap_or(0);
        Ok(())
    }

    fn ill(&mut self, error: &io::Error) {
        if self.is_ill {
            return;
        }
        self.is_ill = true;
        let path = self.path.display();
        let fix = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make room there, or set state_dir to another disk"
            }
            _ => "see to it that state_dir can be written by root, or set another one",
        };
        let why = format!("actions are not journalled now: {path}: {error}; {fix}");
        tracing::error!(
            event = "journal_degraded",
            cause = %error,
            fix,
            "{why}; the guard acts on, and it is tried again"
        );
        let _ = self.say.send(Some(why));
    }

    fn well(&mut self) {
        if !self.is_ill {
            return;
        }
        self.is_ill = false;
        let lost = std::mem::take(&mut self.dropped);
        tracing::info!(
            event = "journal_back",
            lost,
            "actions are journalled again; {lost} lines are lost"
        );
        let _ = self.say.send(None);
    }
}

/// Opens the file at its end, and makes what is missing. What is of others' making stays as it is.
fn begin(path: &Path) -> io::Result<Open> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    if fs::metadata(path).is_ok_and(|meta| meta.len() >= LARGE) {
        fs::rename(path, path.with_extension("jsonl.1"))?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
    }
    // An agent or a machine that ended in the middle of a line.
    let whole = if last == *b"\n" {
        length
    } else {
        file.write_all(b"\n")?;
        length + 1
    };
    Ok(Open {
        file,
        length: whole,
    })
}

/// The last note of each of these kinds about each target; what is no line of ours is passed over.
pub fn last_notes<const N: usize>(path: &Path, kinds: [&str; N]) -> [BTreeMap<String, Value>; N] {
    let mut last = [const { BTreeMap::new() }; N];
    for path in [&path.with_extension("jsonl.1"), path] {
        let Ok(file) = File::open(path) else { continue };
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            for (kind, last) in kinds.iter().zip(&mut last) {
                last.extend(note(&line, kind));
            }
        }
    }
    last
}

/// The target and the value of a line, where it is a note of that kind.
fn note(line: &str, kind: &str) -> Option<(String, Value)> {
    if !line.contains(kind) {
        return None;
    }
    let mut note: Value = serde_json::from_str(line).ok()?;
    if note.get("kind")? != kind {
        return None;
    }
    let target = note.get("target")?.as_str()?.to_owned();
    Some((target, note.get_mut("value")?.take()))
}
