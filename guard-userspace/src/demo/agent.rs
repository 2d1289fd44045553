//! The demo's agent: this binary's own `run`, started as an operator would start it, and listened
//! to through the log that it writes for everyone.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::interrupt::Interrupt;

/// Longest from start to the gate at work; a VM without hardware help is slow.
const START: Duration = Duration::from_secs(60);

/// How soon Ctrl-C is noticed.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Longest that its end may take.
const STOP: Duration = Duration::from_secs(10);

/// The agent has ended where it should not; its exit code says why.
#[derive(Debug, thiserror::Error)]
#[error("the agent ended ({status}): {words}")]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    words: String,
}

/// An agent that runs. Dropped, it is stopped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    lines: Receiver<Value>,
    errors: Receiver<String>,
    interrupt: Interrupt,
    /// How the gate refuses, and whether the canary has shown it.
    pub mode: String,
}

impl Agent {
    /// Starts one and waits until it counts and, where `gated`, its limits are in force.
    ///
    /// # Errors
    /// It says itself why it cannot run here.
    pub fn start(config: &Path, socket: &Path, gated: bool, interrupt: &Interrupt) -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("--socket").arg(socket);
        command
            .args(["run", "--log-format", "json", "--config"])
            .arg(config);
        if !gated {
            command.arg("--observe");
        }
        let mut child = command
            .env_remove("RUST_LOG")
            // Ctrl-C is the demo's: it stops the agent itself, after the storm.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the agent")?;
        let out = child.stdout.take().context("no pipe from the agent")?;
        let err = child.stderr.take().context("no pipe from the agent")?;
        let (lines, errors) = (
            heard(out, |line| serde_json::from_str(&line).ok()),
            heard(err, Some),
        );
        let interrupt = interrupt.clone();
        let mut agent = Self {
            child,
            lines,
            errors,
            interrupt,
            mode: String::from("observe"),
        };
        agent.wait_until_ready(gated)?;
        Ok(agent)
    }

    fn wait_until_ready(&mut self, gated: bool) -> Result<()> {
        let until = Instant::now() + START;
        let (mut armed, mut limited) = (false, !gated);
        while !(armed && limited) {
            let Some(line) = self.next(until)? else {
                bail!(
                    "the agent did not get ready within {START:?}: {}",
                    self.last_words()
                );
            };
            let is = |name, value: &str| line.get(name).is_some_and(|found| found == value);
            armed |= is("event", "armed");
            limited |= is("event", "action") && is("action", "gate");
            if is("event", "gate_mode") {
                self.mode = text(&line, "mode");
            }
        }
        Ok(())
    }

    /// The next line of its log before `until`; `None`: there was none.
    ///
    /// # Errors
    /// It has ended, or someone wants the demo to.
    pub fn next(&mut self, until: Instant) -> Result<Option<Value>> {
        loop {
            ensure!(!self.interrupt.came(), "interrupted");
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left.min(LOOK_UP)) {
                Ok(line) => return Ok(Some(line)),
                Err(RecvTimeoutError::Timeout) if left > LOOK_UP => {}
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().context("waiting for the agent")?;
                    return Err(Ended {
                        status,
                        words: self.last_words(),
                    }
                    .into());
                }
            }
        }
    }

    fn last_words(&self) -> String {
        // Standard error closes with the process; a moment later all of it is here.
        thread::sleep(Duration::from_millis(100));
        let lines: Vec<String> = self.errors.try_iter().collect();
        lines.join("\n")
    }

    /// CPU time that all its threads took so far.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn cpu(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // Fields 14 and 15, counted behind the name, which may hold spaces.
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = behind
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(
            ticks * 1_000 / rustix::param::clock_ticks_per_second(),
        ))
    }

    /// What `status --json` says: the kernel's exact counts.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self, socket: &Path) -> Result<Value> {
        let output = Command::new("/proc/self/exe")
            .arg("--socket")
            .arg(socket)
            .args(["status", "--json"])
            .output()
            .context("cannot start metamcp-guard status")?;
        // A level above warning is code 1, and the demo's storm is meant to reach it.
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("status: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// Asks it to end, as systemd would, and waits for that.
    ///
    /// # Errors
    /// It did not end in time and was killed.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("SIGTERM to the agent")?;
        let until = Instant::now() + STOP;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                self.child.kill()?;
                self.child.wait()?;
                bail!("the agent did not end within {STOP:?} and was killed");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Only after an error, which is said already.
        let _ = self.end();
    }
}

/// A number of a log line.
#[must_use]
pub fn number(line: &Value, name: &str) -> u64 {
    line.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn text(line: &Value, name: &str) -> String {
    line.get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Lines of a pipe, read by a thread of its own so that the agent never waits for the demo.
fn heard<T: Send + 'static>(
    from: impl Read + Send + 'static,
    parse: impl Fn(String) -> Option<T> + Send + 'static,
) -> Receiver<T> {
    let (to, lines): (Sender<T>, _) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(from).lines().map_while(Result::ok);
        for line in lines.filter_map(parse) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
