//! The thawer: a small process that lets go on what the agent has frozen, when the agent is gone.
//!
//! The agent writes the directory of each cgroup that it is about to freeze into this process's
//! standard input, and takes it back when it is thawed. When the agent ends, however that comes, the
//! kernel closes that pipe, and the thawer thaws what is left and ends. It is this program again, under
//! a hidden argument.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What makes of this program a thawer.
const ARGUMENT: &str = "--thawer";

/// Longest that it may take to thaw what is left.
const END: Duration = Duration::from_secs(5);

/// Whether this command line makes a thawer.
pub fn is_meant(arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.skip(1).eq([ARGUMENT])
}

/// Waits until the agent is gone, and thaws what it has left frozen.
#[must_use]
pub fn run() -> ExitCode {
    let _ = rustix::thread::set_name(c"guard-thawer");
    outlive_signals();
    let mut code = ExitCode::SUCCESS;
    for dir in left(io::stdin().lock()) {
        if let Err(error) = std::fs::write(dir.join("cgroup.freeze"), "0")
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("metamcp-guard: {} stays frozen: {error}", dir.display());
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// What ends the agent gently may be sent to all of its service: the agent is what this ends with.
fn outlive_signals() {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
    let all = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    let all: SigSet = all.into_iter().collect();
    let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&all), None);
}

/// What is frozen at the end of what was written: `+DIR` and `-DIR`, a line each.
fn left(told: impl BufRead) -> BTreeSet<PathBuf> {
    let mut frozen = BTreeSet::new();
    for line in told.lines().map_while(Result::ok) {
        match line.split_at_checked(1) {
            Some(("+", dir)) => {
                frozen.insert(PathBuf::from(dir));
            }
            Some(("-", dir)) => {
                frozen.remove(Path::new(dir));
            }
            _ => {}
        }
    }
    frozen
}

/// A running thawer, as the agent has it. Dropped, it thaws what is left, and ends.
#[derive(Debug)]
pub struct Thawer {
    child: Child,
    pipe: Option<Arc<File>>,
}

impl Thawer {
    /// Starts one for this process. `program` is this program (`/proc/self/exe`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take().map(OwnedFd::from).map(File::from);
        Ok(Self {
            child,
            pipe: pipe.map(Arc::new),
        })
    }

    /// Where it is told. While anybody holds it, the thawer waits.
    #[must_use]
    pub fn pipe(&self) -> Option<Arc<File>> {
        self.pipe.clone()
    }

    /// Whether it lives. Where it does not, nothing may stay frozen until another one does.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Thawer {
    fn drop(&mut self) {
        self.pipe = None;
        let began = Instant::now();
        while self.lives() && began.elapsed() < END {
            std::thread::sleep(Duration::from_millis(5));
        }
        // It is ours and not yet waited for: the pid cannot be another's.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells a thawer that a cgroup is about to be frozen, or that it is thawed. One write: lines of several
/// threads do not mix (PIPE_BUF).
///
/// # Errors
/// It is gone, or no such line can be told.
pub fn tell(mut pipe: &File, frozen: bool, dir: &Path) -> io::Result<()> {
    let dir = dir
        .to_str()
        .filter(|dir| !dir.contains('\n') && dir.len() < 4_000);
    let dir = dir.ok_or(io::ErrorKind::InvalidFilename)?;
    let sign = if frozen { '+' } else { '-' };
    pipe.write_all(format!("{sign}{dir}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn what_was_not_taken_back_is_left() {
        let check = |told: &str, expected: &[&str]| {
            let left: Vec<_> = left(BufReader::new(told.as_bytes())).into_iter().collect();
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(left, expected, "{told:?}");
        };
        check("", &[]);
        check("+/a\n", &["/a"]);
        check("+/a\n+/b\n-/a\n", &["/b"]);
        check("+/a\n-/a\n+/a\n", &["/a"]);
        check("nonsense\n\n\u{e4}\n-/a\n", &[]);
    }

    #[test]
    fn lines_are_told_as_they_are_read() {
        let (read, write) = std::io::pipe().unwrap();
        let write = File::from(OwnedFd::from(write));
        tell(&write, true, Path::new("/sys/fs/cgroup/a b")).unwrap();
        tell(&write, true, Path::new("/c")).unwrap();
        tell(&write, false, Path::new("/c")).unwrap();
        assert!(tell(&write, true, Path::new("/new\nline")).is_err());
        drop(write);
        let left: Vec<_> = left(BufReader::new(read)).into_iter().collect();
        assert_eq!(left, [PathBuf::from("/sys/fs/cgroup/a b")]);
    }
}
