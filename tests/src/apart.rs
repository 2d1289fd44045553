//! Processes in a mount namespace of their own, as a container's are: what is marked there, the host
//! does not feel.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::Cgroup;

/// Longest that a line may be waited for.
const LONGEST: Duration = Duration::from_secs(30);

/// What is done first in the new namespace. Mounts of other tests and of container engines would be
/// held for as long as it lives.
const SETUP: &str = r#"
while read -r _ point _; do
    case $point in */docker*) umount -l "$point" 2>/dev/null ;; esac
done </proc/self/mounts
echo ready
exec "$@"
"#;

/// A program there, line by line. Dropped, it is killed with all that it started, also what waits
/// for an answer that does not come.
#[derive(Debug)]
pub struct Apart {
    child: Child,
    to: Option<ChildStdin>,
    lines: Receiver<String>,
    cgroup: Cgroup,
}

impl Apart {
    /// A shell that executes what it is told.
    ///
    /// # Errors
    /// No right to make a namespace.
    pub fn shell() -> Result<Self> {
        Self::program(&["sh"])?.up()
    }

    /// Another shell in the same namespace; not a child of this one.
    ///
    /// # Errors
    /// No such program.
    pub fn shell_beside(&self) -> Result<Self> {
        self.beside(&["sh"])?.up()
    }

    /// Waits for a shell's own exec, which would be asked about with those of its children.
    fn up(mut self) -> Result<Self> {
        self.does(":")?;
        Ok(self)
    }

    /// Any program. It may not have been executed yet: let it say so.
    ///
    /// # Errors
    /// No right to make a namespace, or no such program.
    pub fn program(words: &[&str]) -> Result<Self> {
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                SETUP,
                "sh",
            ])
            .args(words);
        let apart = Self::start(&mut command)?;
        ensure!(apart.hear()? == "ready", "the namespace is not set up");
        let (ours, theirs) = (namespace("self")?, namespace(&apart.pid().to_string())?);
        ensure!(ours != theirs, "that is the host's own mount namespace");
        Ok(apart)
    }

    /// Another program in the same namespace; not a child of this one.
    ///
    /// # Errors
    /// No such program.
    pub fn beside(&self, words: &[&str]) -> Result<Self> {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.pid()))
            .args(words);
        Self::start(&mut command)
    }

    /// A program on the host, which is spoken to in the same way.
    ///
    /// # Errors
    /// No such program.
    pub fn on_host(words: &[&str]) -> Result<Self> {
        let (program, rest) = words.split_first().context("no program")?;
        Self::start(Command::new(program).args(rest))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let cgroup = Cgroup::new("apart")?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        cgroup.take(child.id())?;
        let to = child.stdin.take();
        let out = BufReader::new(child.stdout.take().context("no pipe")?);
        let (heard, lines) = channel();
        thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .try_for_each(|line| heard.send(line))
        });
        Ok(Self {
            child,
            to,
            lines,
            cgroup,
        })
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line.
    ///
    /// # Errors
    /// It has ended.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let to = self.to.as_mut().context("its input is closed")?;
        writeln!(to, "{line}").context("it has ended")
    }

    /// The next line.
    ///
    /// # Errors
    /// None came in time, or it has ended.
    pub fn hear(&self) -> Result<String> {
        self.hear_within(LONGEST)?
            .context("it said nothing for 30 s")
    }

    /// The next line, if it comes in time.
    ///
    /// # Errors
    /// It has ended.
    pub fn hear_within(&self, limit: Duration) -> Result<Option<String>> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("it has ended"),
        }
    }

    /// What a shell's command ended with. What it prints is not heard.
    ///
    /// # Errors
    /// The shell has ended.
    pub fn code(&mut self, command: &str) -> Result<i32> {
        self.say(&format!("{{ {command}; }} >/dev/null 2>&1; echo $?"))?;
        let code = self.hear()?;
        code.parse().with_context(|| format!("{command}: {code}"))
    }

    /// As [`Self::code`], which must be 0.
    ///
    /// # Errors
    /// It was not.
    pub fn does(&mut self, command: &str) -> Result<()> {
        let code = self.code(command)?;
        ensure!(code == 0, "{command}: code {code}");
        Ok(())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("waiting for it")
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Err(error) = self.cgroup.kill() {
            eprintln!("test kit: {error:#}");
        }
        // A test may have moved it elsewhere. It is not yet waited for: the pid is still its.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The mount namespace of a process.
///
/// # Errors
/// It has ended.
pub fn namespace(pid: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/ns/mnt");
    Ok(Path::new(&path).metadata().context(path)?.ino())
}
