//! Runs the program `storm` inside a cgroup and reads its report.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::Cgroup;
use crate::load::tally::Report;
use crate::place;

/// A storm that runs. Dropped before its end, it is killed with its cgroup, by that one's drop.
#[derive(Debug)]
pub struct Storm {
    child: Child,
    out: BufReader<ChildStdout>,
    said: String,
}

#[derive(Deserialize)]
struct Ready {
    ready: Vec<u32>,
}

impl Storm {
    /// Starts one; it moves itself into the cgroup before it makes anything.
    ///
    /// # Errors
    /// The program is not built, or cannot start.
    pub fn start(cgroup: &Cgroup, arguments: &[&str]) -> Result<Self> {
        let path = cgroup
            .path()
            .to_str()
            .context("a cgroup path that is not UTF-8")?;
        Self::start_here(&[&["--cgroup", path], arguments].concat())
    }

    /// Starts one where this process is, but for its mounts, which are its own: nobody who guards it
    /// has a reason to ask about the host's execs.
    ///
    /// # Errors
    /// The program is not built, or cannot start.
    pub fn start_here(arguments: &[&str]) -> Result<Self> {
        let program = place::program("GUARD_STORM", "storm")?;
        let mut child = Command::new(&program)
            .arg("--apart")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let out = child.stdout.take().context("no pipe from the storm")?;
        Ok(Self {
            child,
            out: BufReader::new(out),
            said: String::new(),
        })
    }

    /// Starts one and waits for its end.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::report`].
    pub fn run(cgroup: &Cgroup, arguments: &[&str]) -> Result<Report> {
        Self::start(cgroup, arguments)?.report()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until its sleepers are there; gives their pids.
    ///
    /// # Errors
    /// It ended without saying so.
    pub fn ready(&mut self) -> Result<Vec<u32>> {
        let mut line = String::new();
        self.out
            .read_line(&mut line)
            .context("reading from the storm")?;
        let ready: Ready =
            serde_json::from_str(&line).with_context(|| format!("the storm said {line:?}"))?;
        Ok(ready.ready)
    }

    /// Waits for its end by SIGKILL: of its cgroup, which the test kills or has killed.
    ///
    /// # Errors
    /// It ended in another way.
    pub fn killed(mut self) -> Result<()> {
        let status = self.child.wait().context("waiting for the storm")?;
        if status.signal() != Some(libc::SIGKILL) {
            bail!("the storm ended with {status} before it was killed");
        }
        Ok(())
    }

    /// Waits for the end of a program that it was to run; gives what that one said.
    ///
    /// # Errors
    /// The kernel's, or it said nothing that can be read.
    pub fn ended(mut self) -> Result<(ExitStatus, String)> {
        self.hear_all()?;
        let status = self.child.wait().context("waiting for the program")?;
        Ok((status, self.said))
    }

    /// Waits until it has said all that it will. Nobody else gets its pid before [`Self::report`].
    ///
    /// # Errors
    /// What it says is not UTF-8.
    pub fn hear_all(&mut self) -> Result<()> {
        let heard = self.out.read_to_string(&mut self.said);
        heard.map(drop).context("reading from the storm")
    }

    /// Waits for its end; gives its report.
    ///
    /// # Errors
    /// It was killed, failed, or said nothing that can be read.
    pub fn report(mut self) -> Result<Report> {
        self.hear_all()?;
        let status = self.child.wait().context("waiting for the storm")?;
        let text = &self.said;
        if !status.success() {
            bail!("the storm ended with {status} and said {text:?}");
        }
        let line = text.lines().last().unwrap_or_default();
        serde_json::from_str(line).with_context(|| format!("the storm said {text:?}"))
    }
}
