//! The canary: a process of the guard's own under a cap of one spawns, and says what became of it.
//!
//! That a program loads and attaches proves nothing: without `bpf` in the kernel's `lsm=` list an
//! LSM program does both and is never asked (6.12). Only a spawn that is seen to fail proves it.

use super::Kernel;
use super::tables::TableError;
use crate::evidence::tree;
use guard_common::abi::CANARY_SLOT;
use guard_common::{GateLimits, GateMode, TargetKind};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

/// Its cgroup, below the v2 mount.
const CGROUP: &str = "metamcp-guard-canary";
/// Longest from its start to its word; an emulated machine under a storm is slow.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the kernel may take to bury it.
const BURIAL: Duration = Duration::from_secs(2);
/// Marks this program's command line as one of the canary's.
const MARK: &str = "--canary-part=";
const SIGKILL: i32 = 9;

/// What became of the canary's spawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It failed with this errno.
    Refused(i32),
    /// Its child died by SIGKILL before it could speak.
    Killed,
    /// Its child ran.
    Ran,
    /// It could not be tried: why.
    Untried(String),
}

/// The canary could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// No cgroup for it.
    #[error("cannot use the cgroup {}: {source}", path.display())]
    Cgroup {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not start.
    #[error("cannot start the canary: {0}")]
    Start(io::Error),
    /// A map refuses.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Has execs of this program asked about (true), or no longer: in `deny`, while a canary spawns.
pub type Ask = Box<dyn Fn(bool) -> Result<(), String> + Send>;

/// A canary that sits in its cgroup and waits for its word.
#[derive(Debug)]
pub struct Canary {
    child: Child,
    stage: Stage,
}

/// Where a canary sat; to be ended.
#[derive(Debug)]
pub struct Stage {
    dir: PathBuf,
    id: u64,
}

impl Canary {
    /// Sets it up under a cap of one in `mode`.
    ///
    /// # Errors
    /// What could not be set up; nothing of it is left.
    pub fn begin(
        kernel: &mut Kernel,
        mode: GateMode,
        v2_mount: &Path,
    ) -> Result<Self, CanaryError> {
        let dir = v2_mount.join(CGROUP);
        let failed = |source| {
            let path = dir.clone();
            CanaryError::Cgroup { path, source }
        };
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            // There already: of an agent that was killed.
            _ => {}
        }
        let id = tree::id(&dir).map_err(failed)?;
        let stage = Stage {
            dir: dir.clone(),
            id,
        };
        match start(kernel, mode, &stage) {
            Ok(child) => Ok(Self { child, stage }),
            Err(error) => {
                stage.end(kernel);
                Err(error)
            }
        }
    }

    /// Has it spawn and waits for what it says. May take ten seconds: not for the agent's loop.
    #[must_use]
    pub fn wait(mut self, ask: Option<&Ask>) -> (Stage, Seen) {
        let seen = match ask.map_or(Ok(()), |ask| ask(true)) {
            Ok(()) => self.spawns(),
            Err(why) => Seen::Untried(why),
        };
        if let Some(Err(why)) = ask.map(|ask| ask(false)) {
            tracing::debug!(why, "the canary's program");
        }
        // It is this agent's own child, and waited for here: the pid is still its.
        let _ = self.child.kill();
        let _ = self.child.wait();
        (self.stage, seen)
    }

    fn spawns(&mut self) -> Seen {
        if let Some(mut stdin) = self.child.stdin.take()
            && let Err(error) = stdin.write_all(b"go\n")
        {
            return Seen::Untried(format!("the canary cannot be told: {error}"));
        }
        let (say, said) = mpsc::channel();
        if let Some(out) = self.child.stdout.take() {
            thread::spawn(move || {
                let mut line = String::new();
                let read = BufReader::new(out).read_line(&mut line);
                // Whoever waited may have lost patience.
                let _ = say.send(read.map(|_| line));
            });
        }
        match said.recv_timeout(PATIENCE) {
            Ok(Ok(line)) => understood(line.trim()),
            Ok(Err(error)) => Seen::Untried(format!("the canary cannot be heard: {error}")),
            Err(_) => Seen::Untried(format!("the canary said nothing within {PATIENCE:?}")),
        }
    }
}

fn start(kernel: &mut Kernel, mode: GateMode, stage: &Stage) -> Result<Child, CanaryError> {
    let limits = GateLimits {
        max_processes: 1,
        mode: mode as u32,
        // Who comes into an empty container is no tree of its own: it needs no room in that table.
        kind: TargetKind::Container as u32,
        ..GateLimits::OBSERVE
    };
    kernel.tables.set_limits(CANARY_SLOT, &limits)?;
    kernel.tables.tag_canary(stage.id)?;
    let mut child = Part::Spawner
        .command()
        .spawn()
        .map_err(CanaryError::Start)?;
    let procs = stage.dir.join("cgroup.procs");
    let entered = fs::write(&procs, child.id().to_string());
    entered.map_err(|source| {
        let _ = child.kill();
        let _ = child.wait();
        let path = procs;
        CanaryError::Cgroup { path, source }
    })?;
    Ok(child)
}

impl Stage {
    /// Takes the canary's cgroup away again.
    pub fn end(self, kernel: &mut Kernel) {
        let Self { dir, id } = self;
        if let Err(error) = kernel.tables.untag_canary(id) {
            tracing::debug!(%error, "the canary's cgroup");
        }
        clear(&dir);
    }
}

/// Takes a canary's cgroup away that may still be out: the agent ends, and does not wait for its word.
pub fn clear_away(v2_mount: &Path) {
    clear(&v2_mount.join(CGROUP));
}

/// Ends what is in the canary's cgroup, where only the canary ever was, and removes it.
fn clear(dir: &Path) {
    let _ = fs::write(dir.join("cgroup.kill"), "1");
    let until = std::time::Instant::now() + BURIAL;
    while let Err(error) = fs::remove_dir(dir) {
        if error.kind() == io::ErrorKind::NotFound || std::time::Instant::now() > until {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The canary's word.
fn understood(line: &str) -> Seen {
    match line.split_once(' ') {
        Some(("refused", errno)) => errno.parse().map_or_else(
            |_| Seen::Untried(format!("the canary said {line:?}")),
            Seen::Refused,
        ),
        _ if line == "killed" => Seen::Killed,
        _ if line == "ran" => Seen::Ran,
        _ => Seen::Untried(format!("the canary said {line:?}")),
    }
}

/// The canary's programs: this binary, started again under another argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Waits for its word on standard input, spawns, says what became of it.
    Spawner,
    /// Says that it runs.
    Spawned,
}

impl Part {
    /// The part that this command line names, if the canary has made it.
    pub fn of(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        match arguments.last()?.to_str()?.strip_prefix(MARK)? {
            "spawner" => Some(Self::Spawner),
            "spawned" => Some(Self::Spawned),
            _ => None,
        }
    }

    fn command(self) -> Command {
        // Found by the kernel even when the file was replaced by an upgrade.
        let mut command = Command::new("/proc/self/exe");
        let name = match self {
            Self::Spawner => "spawner",
            Self::Spawned => "spawned",
        };
        command
            .arg(format!("{MARK}{name}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self {
            Self::Spawned => println!("ran"),
            Self::Spawner => {
                let mut word = String::new();
                if matches!(io::stdin().read_line(&mut word), Ok(0) | Err(_)) {
                    return ExitCode::FAILURE;
                }
                println!("{}", spawn());
            }
        }
        ExitCode::SUCCESS
    }
}

/// Spawns, in the canary's cgroup.
fn spawn() -> String {
    let mut child = match Part::Spawned.command().spawn() {
        Ok(child) => child,
        Err(error) => return format!("refused {}", error.raw_os_error().unwrap_or(0)),
    };
    let mut said = String::new();
    if let Some(mut out) = child.stdout.take() {
        let _ = out.read_to_string(&mut said);
    }
    match child.wait() {
        Ok(status) if status.signal() == Some(SIGKILL) && said.is_empty() => "killed".to_owned(),
        Ok(_) if said.trim() == "ran" => "ran".to_owned(),
        ended => format!("odd: {ended:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canarys_word_is_understood_or_said_to_be_odd() {
        let check = |line, expected| assert_eq!(understood(line), expected, "{line}");
        check("refused 11", Seen::Refused(11));
        check("killed", Seen::Killed);
        check("ran", Seen::Ran);
        for odd in ["", "refused", "refused x", "killed 9"] {
            assert!(matches!(understood(odd), Seen::Untried(_)), "{odd}");
        }
    }

    #[test]
    fn a_part_is_named_by_the_last_argument_alone() {
        let of = |words: &[&str]| Part::of(words.iter().map(OsString::from));
        assert_eq!(of(&["guard", "--canary-part=spawner"]), Some(Part::Spawner));
        assert_eq!(of(&["guard", "--canary-part=spawned"]), Some(Part::Spawned));
        assert_eq!(of(&["guard", "--canary-part=spawned", "run"]), None);
        assert_eq!(of(&[]), None);
    }
}
