//! Runs the storm's gateway inside a cgroup and hears how its servers end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::check::eventually;
use crate::{Cgroup, place};

/// What the guard's `protect` must be for it to be a gateway.
pub const PROTECT: &str = "gate-keeper";

/// How a server's root ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Ended {
    /// Its pid.
    pub pid: u32,
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

#[derive(Deserialize)]
struct Ready {
    ready: Vec<u32>,
}

/// A gateway that runs. Dropped, it is killed; its servers are killed with their cgroup.
#[derive(Debug)]
pub struct Keeper {
    child: Child,
    stdin: ChildStdin,
    out: Option<BufReader<ChildStdout>>,
    ended: Arc<Mutex<Vec<Ended>>>,
}

impl Keeper {
    /// Starts one that will have these servers ([`crate::load::keeper::KINDS`]); it enters the
    /// cgroup, and executes itself there.
    ///
    /// # Errors
    /// The program is not built, or cannot start.
    pub fn start(cgroup: &Cgroup, kinds: &[&str]) -> Result<Self> {
        let program = place::program("GUARD_STORM", "storm")?;
        let mut child = Command::new(&program)
            .args(["--apart", "--cgroup"])
            .arg(cgroup.path())
            .arg("keeper")
            .args(kinds)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdin = child.stdin.take().context("no pipe to the gateway")?;
        let out = child.stdout.take().context("no pipe from the gateway")?;
        Ok(Self {
            child,
            stdin,
            out: Some(BufReader::new(out)),
            ended: Arc::default(),
        })
    }

    /// Has it start its servers; gives their roots' pids, in the order of the kinds.
    ///
    /// # Errors
    /// It could not, or was told before.
    pub fn open(&mut self) -> Result<Vec<u32>> {
        self.stdin.write_all(b"\n").context("telling the gateway")?;
        let mut out = self.out.take().context("it has opened already")?;
        let mut line = String::new();
        out.read_line(&mut line)
            .context("reading from the gateway")?;
        let ready: Ready =
            serde_json::from_str(&line).with_context(|| format!("the gateway said {line:?}"))?;
        let ended = Arc::clone(&self.ended);
        thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            for one in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                ended
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(one);
            }
        });
        Ok(ready.ready)
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Servers' roots that have ended so far.
    #[must_use]
    pub fn ended(&self) -> Vec<Ended> {
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until so many have ended; gives how.
    ///
    /// # Errors
    /// They have not, in ten seconds.
    pub fn wait_for(&self, count: usize) -> Result<Vec<Ended>> {
        let what = format!("{count} servers have ended");
        eventually(&what, Duration::from_secs(10), || {
            Ok(self.ended().len() >= count)
        })
        .with_context(|| format!("{:?}", self.ended()))?;
        Ok(self.ended())
    }

    /// Whether the gateway itself lives.
    ///
    /// # Errors
    /// The kernel's.
    pub fn lives(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
