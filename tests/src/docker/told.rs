//! A container whose first process does what it is told, line by line, and answers each line with one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Container, Docker, Parent};

/// Longest for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Such a container. Dropped, it is removed.
#[derive(Debug)]
pub struct Told {
    /// The container.
    pub container: Container,
    attached: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Told {
    /// Starts one in `parent`, with these files below `/opt/told`; `rest` is what follows the options
    /// of `docker create`.
    ///
    /// # Errors
    /// Docker's.
    pub fn start(
        docker: &Docker,
        parent: &Parent,
        name: &str,
        files: &[(&str, &str)],
        rest: &[&str],
    ) -> Result<Self> {
        let container = Container::create(docker, parent, name, &[&["-i"], rest].concat())?;
        container.give("/opt/told", files)?;
        let mut attach = docker.command(300, &["start", "-ai", container.id()]);
        attach.stdin(Stdio::piped()).stdout(Stdio::piped());
        // What it complains of is in its log too.
        attach.stderr(Stdio::null());
        let mut attached = attach.spawn().context("docker start -ai")?;
        let input = attached.stdin.take().context("no pipe to docker")?;
        let output = attached.stdout.take().context("no pipe from docker")?;
        let (tell, lines) = channel();
        thread::spawn(move || {
            let read = BufReader::new(output).lines().map_while(Result::ok);
            // The test is over where nobody hears it.
            for line in read {
                let _ = tell.send(line);
            }
        });
        Ok(Self {
            container,
            attached,
            input,
            lines,
        })
    }

    /// Says one line, and gives the line that is said then.
    ///
    /// # Errors
    /// It has ended, or says nothing within 20 s.
    pub fn say(&mut self, line: &str) -> Result<String> {
        writeln!(self.input, "{line}").with_context(|| line.to_owned())?;
        self.hear().with_context(|| line.to_owned())
    }

    /// The next line that it says of its own accord.
    ///
    /// # Errors
    /// It says nothing within 20 s.
    pub fn hear(&mut self) -> Result<String> {
        self.lines.recv_timeout(PATIENCE).context("no answer")
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // `docker` itself; the container goes by its own drop.
        let _ended = self.attached.kill();
        let _reaped = self.attached.wait();
    }
}
