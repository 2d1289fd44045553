//! A way to dockerd that can be held at a request, so that a test does what it wants in the middle of
//! what somebody asks for: kill dockerd, remove the container, kill who asks.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Docker;
use crate::Folder;

/// Where a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before Docker hears of it.
    Before,
    /// Docker has done it, and who asked has not heard.
    After,
}

/// A socket that leads to dockerd. Who is connected when it is dropped stays so.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    rule: Arc<Mutex<Option<Rule>>>,
    _folder: Folder,
}

#[derive(Debug)]
struct Rule {
    line: String,
    when: When,
    met: Sender<()>,
    cut: Receiver<()>,
}

/// A request to be held. Dropped, it goes on.
#[derive(Debug)]
pub struct Held {
    met: Receiver<()>,
    cut: Sender<()>,
}

impl Held {
    /// Waits until it is there.
    ///
    /// # Errors
    /// It did not come in time.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let met = self.met.recv_timeout(limit);
        met.context("the request that was to be held did not come")
    }

    /// Neither request nor answer goes on: who asked hears that Docker is lost.
    pub fn cut(self) {
        let _ = self.cut.send(());
    }
}

impl Door {
    /// Opens one to that dockerd.
    ///
    /// # Errors
    /// No socket.
    pub fn open(docker: &Docker) -> Result<Self> {
        let folder = Folder::new()?;
        let path = folder.path().join("door.sock");
        let listener = UnixListener::bind(&path).context("a socket")?;
        let to = docker.host().trim_start_matches("unix://").to_owned();
        let rule: Arc<Mutex<Option<Rule>>> = Arc::default();
        let rules = Arc::clone(&rule);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (to, rules) = (to.clone(), Arc::clone(&rules));
                thread::spawn(move || lead(client, Path::new(&to), &rules));
            }
        });
        Ok(Self {
            path,
            rule,
            _folder: folder,
        })
    }

    /// What `DOCKER_HOST` must be to come through it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Holds the next request whose first line has that part. One at a time.
    #[must_use]
    pub fn hold(&self, line: &str, when: When) -> Held {
        let (met, seen) = mpsc::channel();
        let (cut, told) = mpsc::channel();
        *lock(&self.rule) = Some(Rule {
            line: line.to_owned(),
            when,
            met,
            cut: told,
        });
        Held { met: seen, cut }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn lock(rule: &Mutex<Option<Rule>>) -> MutexGuard<'_, Option<Rule>> {
    rule.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on what one says and is told. A request begins with a chunk of its own: nobody sends the
/// next one before the last one's answer.
fn lead(mut client: UnixStream, to: &Path, rules: &Mutex<Option<Rule>>) {
    let Ok(mut docker) = UnixStream::connect(to) else {
        return;
    };
    let after: Arc<Mutex<Option<Rule>>> = Arc::default();
    let (Ok(mut back), Ok(mut from)) = (client.try_clone(), docker.try_clone()) else {
        return;
    };
    let held = Arc::clone(&after);
    let answers = thread::spawn(move || {
        let mut chunk = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            // Not held while the lock is held.
            let rule = lock(&held).take();
            if rule.is_some_and(|rule| !goes_on(&rule)) {
                break;
            }
            if back
                .write_all(chunk.get(..length).unwrap_or_default())
                .is_err()
            {
                break;
            }
        }
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut chunk = vec![0; 64 << 10];
    while let Ok(length @ 1..) = client.read(&mut chunk) {
        let said = chunk.get(..length).unwrap_or_default();
        match taken(rules, said) {
            Some(rule) if rule.when == When::Before => {
                if !goes_on(&rule) {
                    break;
                }
            }
            rule => *lock(&after) = rule,
        }
        if docker.write_all(said).is_err() {
            break;
        }
    }
    let _ = docker.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
    let _ = answers.join();
}

/// Holds it; says whether it goes on then.
fn goes_on(rule: &Rule) -> bool {
    let _ = rule.met.send(());
    rule.cut.recv().is_err()
}

/// The rule that is about this request: it holds once.
fn taken(rules: &Mutex<Option<Rule>>, said: &[u8]) -> Option<Rule> {
    let line = said.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let is_request = ["GET ", "POST ", "DELETE "]
        .iter()
        .any(|verb| line.starts_with(verb));
    lock(rules).take_if(|rule| is_request && line.contains(&rule.line))
}
