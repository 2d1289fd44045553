//! Runs the storm's actor inside a cgroup and has it make trees, one by one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{Cgroup, place};

/// What became of what it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The process that was made or has ended; 0: none was made.
    pub pid: u32,
    /// That one's tree, as it counts itself; 0: it had no chance to.
    pub size: u64,
    /// Why none was made.
    pub errno: i32,
    /// How it ended.
    pub code: i32,
    /// The signal that ended it.
    pub signal: i32,
}

/// An actor that runs. Dropped, it is killed, and what it has made ends.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts one, which enters the cgroup.
    ///
    /// # Errors
    /// The program is not built, or cannot start.
    pub fn start(cgroup: &Cgroup) -> Result<Self> {
        let program = place::program("GUARD_STORM", "storm")?;
        let mut child = Command::new(&program)
            .args(["--apart", "--cgroup"])
            .arg(cgroup.path())
            .arg("actor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().context("no pipe from the actor")?);
        let mut actor = Self { child, to, from };
        actor.hear()?;
        Ok(actor)
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it spawn a tree of that size, whose root executes a program of that name.
    ///
    /// # Errors
    /// It has ended.
    pub fn tree(&mut self, name: &str, size: u64) -> Result<Answer> {
        self.told(&format!("tree {name} {size}"))
    }

    /// As [`Self::tree`], and all of it must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn whole_tree(&mut self, name: &str, size: u64) -> Result<u32> {
        let answer = self.tree(name, size)?;
        ensure!(answer.size == size, "{name} of {size}: {answer:?}");
        Ok(answer.pid)
    }

    /// Has it fork a child with so many processes in all, none of which executes anything.
    ///
    /// # Errors
    /// It has ended, or they are not all there.
    pub fn fork(&mut self, size: u64) -> Result<u32> {
        let answer = self.told(&format!("fork {size}"))?;
        ensure!(answer.size == size, "a fork of {size}: {answer:?}");
        Ok(answer.pid)
    }

    /// As [`Self::fork`], but the children of that child make children and grandchildren that end
    /// at once, all the time.
    ///
    /// # Errors
    /// As [`Self::fork`].
    pub fn churn(&mut self, size: u64) -> Result<u32> {
        let answer = self.told(&format!("churn {size}"))?;
        ensure!(answer.size == size, "a churn of {size}: {answer:?}");
        Ok(answer.pid)
    }

    /// Ends what it has made, and says how that ended.
    ///
    /// # Errors
    /// It has ended.
    pub fn ends(&mut self, pid: u32) -> Result<Answer> {
        self.told(&format!("end {pid}"))
    }

    /// Has it execute a program of that name. What it has made until then ends with it.
    ///
    /// # Errors
    /// It could not.
    pub fn becomes(&mut self, name: &str) -> Result<()> {
        self.told(&format!("become {name}")).map(drop)
    }

    /// Ends it. All that it has made ends by that, a moment later.
    ///
    /// # Errors
    /// It did not end well.
    pub fn end(mut self) -> Result<()> {
        self.to = None;
        let status = self.child.wait().context("waiting for the actor")?;
        ensure!(status.success(), "the actor ended with {status}");
        Ok(())
    }

    fn told(&mut self, line: &str) -> Result<Answer> {
        let to = self.to.as_mut().context("its input is closed")?;
        writeln!(to, "{line}").context("telling the actor")?;
        self.hear().with_context(|| line.to_owned())
    }

    fn hear(&mut self) -> Result<Answer> {
        let mut line = String::new();
        let heard = self.from.read_line(&mut line);
        heard.context("reading from the actor")?;
        serde_json::from_str(&line).with_context(|| format!("the actor said {line:?}"))
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
