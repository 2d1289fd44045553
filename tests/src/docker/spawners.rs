//! Two gateways, of node and of Python, that start a program in every way that they have, and say
//! what their caller could have caught (`tests/gateways/spawners`).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::gateway::{asker, free_port};
use super::{Container, Docker, Parent};
use crate::check::eventually;

const PLACE: &str = "/opt/spawners";
const FILES: [(&str, &str); 3] = [
    (
        "entrypoint.sh",
        include_str!("../../gateways/spawners/entrypoint.sh"),
    ),
    (
        "spawners.js",
        include_str!("../../gateways/spawners/spawners.js"),
    ),
    (
        "spawners.py",
        include_str!("../../gateways/spawners/spawners.py"),
    ),
];
/// A way that has not come back by then hangs.
const PATIENCE: Duration = Duration::from_secs(15);

/// A way to start a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Node's `spawn`, detached: as a gateway starts a server.
    Spawn,
    /// Node's `exec`, through a shell.
    Exec,
    /// Node's `spawnSync`.
    SpawnSync,
    /// Node's `execSync`, through a shell.
    ExecSync,
    /// `$(…)` in a dash that ran already: see [`Spawners::start_shell`].
    Dash,
    /// Python's `subprocess`.
    Subprocess,
    /// Python's `os.posix_spawn`.
    PosixSpawn,
    /// libc's `system(3)`.
    System,
    /// libc's `popen(3)`.
    Popen,
    /// `fork`, then `exec` in the child.
    Fork,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Spawn,
        Self::Exec,
        Self::SpawnSync,
        Self::ExecSync,
        Self::Dash,
        Self::Subprocess,
        Self::PosixSpawn,
        Self::System,
        Self::Popen,
        Self::Fork,
    ];

    /// As the gateways call it, and whether it is node's.
    fn name(self) -> (&'static str, bool) {
        match self {
            Self::Spawn => ("spawn", true),
            Self::Exec => ("exec", true),
            Self::SpawnSync => ("spawn_sync", true),
            Self::ExecSync => ("exec_sync", true),
            Self::Dash => ("dash", true),
            Self::Subprocess => ("subprocess", false),
            Self::PosixSpawn => ("posix_spawn", false),
            Self::System => ("system", false),
            Self::Popen => ("popen", false),
            Self::Fork => ("fork", false),
        }
    }
}

/// What became of one start, as its caller saw it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Attempt {
    /// The error of the start itself.
    pub errno: Option<String>,
    /// Else the exit code of what was started: of the program, or of the shell around it.
    pub code: Option<i32>,
    /// Or the signal that ended it.
    pub signal: Option<String>,
    /// Its words on standard error, or the error's.
    #[serde(default)]
    pub said: String,
    /// Time until the caller knew.
    pub ms: f64,
}

impl Attempt {
    /// Whether the program ran.
    #[must_use]
    pub fn ran(&self) -> bool {
        self.code == Some(0)
    }

    /// Whether it was refused in a way that a caller can tell from a program that was killed.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.signal.is_none() && !self.ran()
    }
}

/// How far [`Spawners::fill`] came.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Filled {
    /// Sleepers that run.
    pub running: u64,
    /// What refused the next one.
    pub errno: Option<String>,
}

/// Both gateways, running.
#[derive(Debug)]
pub struct Spawners {
    /// Their container: a shell, node, Python.
    pub container: Container,
    node: u16,
    python: u16,
}

impl Spawners {
    /// Starts them in `parent` with more options of `docker run`, and waits until both listen.
    ///
    /// # Errors
    /// Docker's, or they do not within 30 s.
    pub fn start(
        docker: &Docker,
        image: &str,
        parent: &Parent,
        name: &str,
        options: &[&str],
    ) -> Result<Self> {
        let (node, python) = (free_port()?, free_port()?);
        let (node_text, python_text) = (node.to_string(), python.to_string());
        let script = "/opt/spawners/entrypoint.sh";
        let command = [image, "sh", script, &node_text, &python_text];
        let container = Container::create(docker, parent, name, &[options, &command].concat())?;
        container.give(PLACE, &FILES)?;
        container.start()?;
        let spawners = Self {
            container,
            node,
            python,
        };
        let limit = Duration::from_secs(30);
        eventually("both listen", limit, || {
            let up = |port: u16| {
                let url = format!("http://127.0.0.1:{port}/");
                asker(Duration::from_secs(1)).get(url).call().is_ok()
            };
            Ok(up(node) && up(python))
        })
        .with_context(|| spawners.container.logs().unwrap_or_default())?;
        Ok(spawners)
    }

    /// Starts `echo` in one way.
    ///
    /// # Errors
    /// It has not come back within 15 s, or its gateway is dead.
    pub fn attempt(&self, way: Way) -> Result<Attempt> {
        let (name, by_node) = way.name();
        let port = if by_node { self.node } else { self.python };
        ask(port, &format!("try/{name}")).with_context(|| name.to_owned())
    }

    /// Starts the dash that [`Way::Dash`] will use up. It waits without starting anything.
    ///
    /// # Errors
    /// The gateway is dead.
    pub fn start_shell(&self) -> Result<()> {
        ask::<serde_json::Value>(self.node, "shell").map(drop)
    }

    /// Starts up to so many sleepers, as servers of node's gateway, until the first is refused.
    ///
    /// # Errors
    /// The gateway is dead.
    pub fn fill(&self, number: u32) -> Result<Filled> {
        ask(self.node, &format!("fill/{number}"))
    }

    /// Kills all sleepers.
    ///
    /// # Errors
    /// The gateway is dead.
    pub fn empty(&self) -> Result<()> {
        ask::<serde_json::Value>(self.node, "empty").map(drop)
    }
}

fn ask<T: DeserializeOwned>(port: u16, path: &str) -> Result<T> {
    let url = format!("http://127.0.0.1:{port}/{path}");
    let mut reply = asker(PATIENCE).get(url).call()?;
    let text = reply.body_mut().read_to_string()?;
    ensure!(reply.status().is_success(), "{path}: {text}");
    serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
}
