//! The programs of the demo's storm: this binary, started again under other names.
//!
//! A server is the tree that `npx` makes: npm (11 threads, as node has), its shell, and the server
//! (11 threads), which ends when its standard input does. They are real processes with the command
//! lines of the real ones; only their last argument, `--demo-part=…`, gives them away.

use std::ffi::{CStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::gateway;

/// Longest that any of them lives, whatever becomes of the demo.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Threads of a node process beside its first: libuv's pool, V8's workers, the signal watcher.
const NODE_THREADS: usize = 10;

/// A thread that only waits needs no more.
const STACK: usize = 32 * 1024;

/// Marks a command line as one of the demo's programs.
const MARK: &str = "--demo-part=";

/// Code with which npm ends when it cannot spawn.
const NPM_CANNOT_SPAWN: u8 = 245;

/// One of the demo's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Goes where the demo happens and becomes the gateway there.
    Entrance,
    /// Starts servers and forgets them.
    Gateway,
    /// The root of a tree.
    Npm,
    /// Its shell.
    Shell,
    /// The server itself.
    Server,
}

impl Part {
    /// The part that this command line names, if the demo has made it.
    pub fn of(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let last = arguments.last()?;
        match last.to_str()?.strip_prefix(MARK)? {
            "entrance" => Some(Self::Entrance),
            "gateway" => Some(Self::Gateway),
            "npm" => Some(Self::Npm),
            "sh" => Some(Self::Shell),
            "node" => Some(Self::Server),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Entrance => "entrance",
            Self::Gateway => "gateway",
            Self::Npm => "npm",
            Self::Shell => "sh",
            Self::Server => "node",
        }
    }

    /// This binary as that part, under the command line of what it stands for.
    pub fn command(self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        let (first, rest) = words.split_first().unwrap_or((&"", &[]));
        command
            .arg0(first)
            .args(rest)
            .arg(format!("{MARK}{}", self.name()));
        command
    }

    /// The name that the real one has in `ps` and in the guard's log.
    const fn comm(self) -> &'static CStr {
        match self {
            Self::Entrance | Self::Gateway | Self::Server => c"node",
            Self::Npm => c"npm exec",
            Self::Shell => c"sh",
        }
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(self) -> ExitCode {
        // Without it the storm is as real, and only looks less so.
        let _ = rustix::thread::set_name(self.comm());
        let words: Vec<OsString> = std::env::args_os().collect();
        let word = |index: usize| {
            words
                .get(index)
                .and_then(|word| word.to_str())
                .unwrap_or("")
        };
        match self {
            Self::Entrance => gateway::enter(word(2), word(3), word(4)),
            Self::Gateway => gateway::run(word(2), word(3)),
            Self::Npm => {
                let _threads = node_threads();
                let package = word(3).rsplit('/').next().unwrap_or("server");
                let server = format!("mcp-{package}");
                run_child(Self::Shell.command(&["sh", "-c", &server]))
            }
            Self::Shell => run_child(Self::Server.command(&["node", word(2)])),
            Self::Server => {
                let _threads = node_threads();
                until_stdin_ends();
                ExitCode::SUCCESS
            }
        }
    }
}

/// This program by its path, and not by /proc/self/exe: that link leads through the mount by which it
/// was once executed, the host's, also from a mount namespace of the demo's own. Where the file has
/// gone since (an upgrade), the link is what is left.
fn program() -> PathBuf {
    const LINK: &str = "/proc/self/exe";
    let path = std::fs::read_link(LINK).ok().filter(|path| path.is_file());
    path.unwrap_or_else(|| PathBuf::from(LINK))
}

/// One MCP server as a gateway starts it: a session and process group of its own, input and
/// output piped.
///
/// # Errors
/// The kernel's: `EAGAIN` where the gate refuses the fork or the exec.
pub fn spawn_server(package: &str) -> io::Result<std::process::Child> {
    Part::Npm
        .command(&["npm", "exec", "-y", package])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn run_child(mut command: Command) -> ExitCode {
    let ended = command.status();
    let code = ended.ok().and_then(|status| status.code());
    ExitCode::from(code.map_or(NPM_CANNOT_SPAWN, |code| u8::try_from(code).unwrap_or(1)))
}

/// Threads that do nothing, as most of node's do. Node aborts when it cannot have one.
fn node_threads() -> Vec<thread::JoinHandle<()>> {
    let threads: io::Result<Vec<_>> = (0..NODE_THREADS)
        .map(|_| {
            thread::Builder::new()
                .stack_size(STACK)
                .spawn(|| thread::sleep(LONGEST))
        })
        .collect();
    threads.unwrap_or_else(|_| std::process::abort())
}

/// Waits for the end of standard input, whose other end whoever started this holds.
pub fn until_stdin_ends() {
    let (ended, end) = mpsc::channel();
    let _reader = thread::spawn(move || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let _ = end.recv_timeout(LONGEST);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_named_by_the_last_argument_alone() {
        let check = |words: &[&str], expected| {
            assert_eq!(
                Part::of(words.iter().map(OsString::from)),
                expected,
                "{words:?}"
            );
        };
        check(&["npm", "exec", "x", "--demo-part=npm"], Some(Part::Npm));
        check(&["node", "--demo-part=node"], Some(Part::Server));
        check(&["metamcp-guard", "run", "--demo"], None);
        check(&["metamcp-guard", "--demo-part=npm", "run"], None);
        check(&["x", "--demo-part=rm"], None);
        check(&[], None);
    }
}
