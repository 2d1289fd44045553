//! The agent as a child process: started, listened to, stopped, its end looked at.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::place;

/// Where an agent leaves its gate.
pub const PINS: &str = "/sys/fs/bpf/metamcp-guard";

/// Longest that a stop may take.
const STOP: Duration = Duration::from_secs(15);

/// `metamcp-guard run` with JSON on its standard output. Dropped while it runs, it is killed.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    readers: Vec<JoinHandle<()>>,
    errors: Arc<Mutex<String>>,
    leaves: bool,
}

/// A command of the agent's binary.
///
/// # Errors
/// It is not built.
pub fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(place::program("GUARD_AGENT", "metamcp-guard")?);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("RUST_LOG");
    Ok(command)
}

/// Runs a command of the agent's binary to its end, which must come within a minute.
///
/// # Errors
/// It is not built, cannot start, or did not end.
pub fn output(arguments: &[&str]) -> Result<Output> {
    finish(&mut command(arguments)?)
}

/// A command of the agent's binary, in a mount namespace of its own in which this shell script has run
/// before.
///
/// # Errors
/// It is not built.
pub fn apart(script: &str, arguments: &[&str]) -> Result<Command> {
    let inner = format!("set -e\n{script}\nexec \"$@\"");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", &inner])
        .arg("sh")
        .arg(place::program("GUARD_AGENT", "metamcp-guard")?)
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("RUST_LOG");
    Ok(command)
}

/// Runs a command to its end, which must come within a minute.
///
/// # Errors
/// It cannot start, or did not end.
pub fn finish(command: &mut Command) -> Result<Output> {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting metamcp-guard")?;
    let pid = Pid::from_child(&child);
    let (said, end) = std::sync::mpsc::channel();
    thread::spawn(move || said.send(child.wait_with_output()));
    match end.recv_timeout(Duration::from_secs(60)) {
        Ok(output) => output.context("waiting for metamcp-guard"),
        Err(_) => {
            let _ = kill_process(pid, Signal::KILL);
            bail!("{command:?} did not end within a minute")
        }
    }
}

impl Agent {
    /// Starts `metamcp-guard run --log-format json` with more arguments.
    ///
    /// # Errors
    /// The binary is not built, or does not start.
    pub fn run(arguments: &[&str]) -> Result<Self> {
        Self::run_with(&[], arguments)
    }

    /// As [`Self::run`], with a log of that level (`RUST_LOG`).
    ///
    /// # Errors
    /// The binary is not built, or does not start.
    pub fn run_saying(level: &str, arguments: &[&str]) -> Result<Self> {
        Self::run_with(&[("RUST_LOG", level)], arguments)
    }

    /// As [`Self::run`], with these variables in its environment.
    ///
    /// # Errors
    /// The binary is not built, or does not start.
    pub fn run_with(environment: &[(&str, &str)], arguments: &[&str]) -> Result<Self> {
        let mut command = command(&[&["run", "--log-format", "json"], arguments].concat())?;
        Self::start(
            command
                .env("RUST_LOG", "info")
                .envs(environment.iter().copied()),
        )
    }

    /// Starts a command that becomes an agent with JSON on its standard output.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting metamcp-guard run")?;
        let (lines, errors) = (Arc::default(), Arc::default());
        let out = child.stdout.take().context("no pipe from the agent")?;
        let err = child.stderr.take().context("no pipe from the agent")?;
        let readers = vec![
            collect(out, Arc::clone(&lines)),
            gather(err, Arc::clone(&errors)),
        ];
        Ok(Self {
            child,
            lines,
            readers,
            errors,
            leaves: false,
        })
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All events so far; a line that is no JSON is the event `not_json`.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn errors(&self) -> String {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for an event of that name for which `holds` is true.
    ///
    /// # Errors
    /// It did not come in time, or the agent ended before: the message has the last it said.
    pub fn wait_for(
        &mut self,
        event: &str,
        limit: Duration,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let until = Instant::now() + limit;
        loop {
            let ended = self.child.try_wait()?;
            let found = self
                .events()
                .into_iter()
                .find(|line| is(line, event) && holds(line));
            if let Some(line) = found {
                return Ok(line);
            }
            if let Some(status) = ended {
                bail!(
                    "the agent ended ({status}) before {event}: {}",
                    self.last_words()
                );
            }
            if Instant::now() > until {
                bail!("no {event} within {limit:?}: {}", self.last_words());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its last events, and what it wrote to standard error.
    #[must_use]
    pub fn last_words(&self) -> String {
        let events = self.events();
        let last = events.iter().rev().take(5).rev();
        let last: Vec<_> = last.map(ToString::to_string).collect();
        format!("{}\n{}", last.join("\n"), self.errors())
    }

    /// Stops it as systemd does and waits for its end.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn stop(mut self) -> Result<(ExitStatus, Vec<Value>)> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("SIGTERM to the agent")?;
        let status = self.wait(STOP)?;
        self.readers.drain(..).try_for_each(|reader| {
            reader
                .join()
                .map_err(|_| anyhow::anyhow!("a reader of the agent panicked"))
        })?;
        Ok((status, self.events()))
    }

    /// As [`Self::stop`], and its end must be a good one: code 0 and nothing but JSON.
    ///
    /// # Errors
    /// It was not.
    pub fn stop_cleanly(self) -> Result<Vec<Value>> {
        let errors = Arc::clone(&self.errors);
        let (status, events) = self.stop()?;
        let errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(status.success(), "the agent ended with {status}: {errors}");
        let odd = events.iter().find(|line| is(line, "not_json"));
        ensure!(odd.is_none(), "a line that is no JSON: {odd:?}");
        Ok(events)
    }

    /// Waits for its end without asking for it.
    ///
    /// # Errors
    /// It did not come in time.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!(
            "the agent did not end within {limit:?}: {}",
            self.last_words()
        )
    }

    /// Ends it as the kernel's OOM killer would; the gate that it leaves stays at work.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill_and_leave(mut self) -> Result<()> {
        self.leaves = true;
        self.kill()
    }

    /// Stops it as systemd does; the gate that it leaves stays at work.
    ///
    /// # Errors
    /// It did not end well.
    pub fn stop_and_leave(mut self) -> Result<Vec<Value>> {
        self.leaves = true;
        self.stop_cleanly()
    }

    /// Ends it as the kernel's OOM killer would, and takes away what it leaves.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("SIGKILL to the agent")?;
        self.child.wait().map(drop).context("waiting for the agent")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if !self.leaves {
            take_away();
        }
    }
}

/// Takes away what an agent has left at work.
pub fn take_away() {
    if Path::new(PINS).exists()
        && let Err(error) = output(&["--socket", "/nowhere", "disarm"])
    {
        eprintln!("the agent's gate stays: {error:#}");
    }
}

fn is(line: &Value, event: &str) -> bool {
    line.get("event").is_some_and(|name| name == event)
}

fn collect(out: impl Read + Send + 'static, to: Arc<Mutex<Vec<Value>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line)
                .unwrap_or_else(|_| serde_json::json!({"event": "not_json", "line": line}));
            to.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(value);
        }
    })
}

fn gather(err: impl Read + Send + 'static, to: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            let mut text = to.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
        }
    })
}

/// A folder of this test's own for configs and state, gone when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    ///
    /// # Errors
    /// No room for it.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = std::env::temp_dir().join(format!("guard-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it; gives its path.
    ///
    /// # Errors
    /// No room for it.
    pub fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.0.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
