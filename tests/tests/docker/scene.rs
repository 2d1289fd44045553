//! What the tests of this suite share: one dockerd, its image, and an agent that is pointed at it.

use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::check::eventually;
use guard_tests::docker::gateway::asker;
use guard_tests::docker::{Daemon, Docker, image, machine, run};
use guard_tests::suite::cannot_here;
use guard_tests::witness::Counts;
use guard_tests::{Agent, Folder, Witness};
use serde_json::Value;

/// Longest from a change in Docker to the agent's word about it. The load of the agent's programs is
/// most of it, in a machine that is emulated.
pub const SOON: Duration = Duration::from_secs(60);

static STAGE: Mutex<Option<Stage>> = Mutex::new(None);

/// dockerd and the image, made when the first test needs them.
pub struct Stage {
    pub daemon: Daemon,
    pub docker: Docker,
    pub image: String,
}

/// The stage, for one test at a time.
pub struct OnStage(MutexGuard<'static, Option<Stage>>);

impl OnStage {
    /// Starts dockerd where no test has yet.
    pub fn enter() -> Result<Self> {
        let mut guard = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            if !rustix::process::geteuid().is_root() {
                return Err(cannot_here(
                    "needs root for dockerd and BPF; run it through sudo",
                ));
            }
            let ready = machine::image();
            if ready.is_none() {
                let missing = run::missing();
                ensure!(missing.is_empty(), "not in PATH: {}", missing.join(", "));
            }
            let daemon = Daemon::start()?;
            let docker = daemon.docker();
            let image = match ready {
                Some(folder) => machine::take(&docker, &folder)?,
                None => image::ensure(&docker, daemon.store())?,
            };
            *guard = Some(Stage {
                daemon,
                docker,
                image,
            });
        }
        Ok(Self(guard))
    }

    /// What is on it.
    pub fn get(&mut self) -> Result<&mut Stage> {
        self.0.as_mut().context("dockerd was stopped")
    }
}

/// Stops dockerd.
pub fn end() {
    drop(STAGE.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// An agent that follows the suite's dockerd.
pub struct Guard {
    pub agent: Agent,
    /// Where commands reach it.
    pub socket: String,
    port: u16,
    folder: Folder,
}

impl Guard {
    /// Starts one with this `[[target]]` (TOML) and waits until it answers.
    pub fn start(docker: &Docker, target: &str, arguments: &[&str]) -> Result<Self> {
        let folder = Folder::new()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let state = folder.path().display();
        let config = format!(
            "state_dir = \"{state}\"\non_agent_exit = \"release\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n[[target]]\n{target}\n"
        );
        folder.file("config.toml", &config)?;
        Self::in_folder(docker, folder, port, arguments)
    }

    /// Kills the agent as the OOM killer would, and starts another with the same configuration, which finds
    /// what that one has left, after something was done.
    pub fn killed(self, docker: &Docker, meanwhile: impl FnOnce() -> Result<()>) -> Result<Self> {
        self.agent.kill()?;
        meanwhile()?;
        Self::in_folder(docker, self.folder, self.port, &[])
    }

    fn in_folder(docker: &Docker, folder: Folder, port: u16, arguments: &[&str]) -> Result<Self> {
        let state = folder.path().display();
        let (socket, file) = (
            format!("{state}/agent.sock"),
            format!("{state}/config.toml"),
        );
        let all = [&["--socket", &socket, "--config", &file], arguments].concat();
        let agent = Agent::run_with(&[("DOCKER_HOST", docker.host())], &all)?;
        let guard = Self {
            agent,
            socket,
            port,
            folder,
        };
        eventually("the agent answers", SOON, || Ok(guard.metrics().is_ok()))
            .with_context(|| guard.agent.last_words())?;
        Ok(guard)
    }

    /// Waits for the `nth` event (1 is the first) of that name about a target.
    pub fn nth(&mut self, event: &str, target: &str, nth: usize) -> Result<Value> {
        let of = |line: &&Value| line["event"] == event && line["target"] == target;
        let what = format!("{event} of {target}, number {nth}");
        let find = |agent: &Agent| agent.events().iter().filter(of).nth(nth - 1).cloned();
        eventually(&what, SOON, || Ok(find(&self.agent).is_some()))
            .with_context(|| self.agent.last_words())?;
        find(&self.agent).context(what)
    }

    /// Waits until counts and witness say the same.
    pub fn agrees(&self, target: &str, witness: &Witness) -> Result<()> {
        let mut last = (Seen::default(), Seen::default());
        let same = || {
            last = (self.seen(target)?, Seen::by(&witness.counts()?));
            Ok(last.0 == last.1)
        };
        eventually("guard and witness agree", Duration::from_secs(10), same)
            .with_context(|| format!("the guard counts {:?}, the witness {:?}", last.0, last.1))
    }

    /// What it counts now.
    pub fn seen(&self, target: &str) -> Result<Seen> {
        let text = self.metrics()?;
        let of = |name: &str| {
            let name = format!("metamcp_guard_{name}{{");
            let label = format!("target=\"{target}\"");
            let line = text
                .lines()
                .find(|line| line.starts_with(&name) && line.contains(&label));
            let value = line
                .and_then(|line| line.rsplit(' ').next())
                .context(format!("no {name} of {target}"))?;
            value
                .parse::<f64>()
                .map(|value| value as u64)
                .with_context(|| format!("{name} is {value}"))
        };
        Ok(Seen {
            live: of("processes")?,
            tasks: of("tasks")?,
            spawns: of("spawns_total")?,
            threads: of("threads_total")?,
            execs: of("execs_total")?,
            exits: of("exits_total")?,
        })
    }

    /// All that it knows of its only target.
    pub fn target(&self) -> Result<Value> {
        let status = self.status()?;
        let target = status["targets"].get(0).cloned();
        target.with_context(|| format!("no target in {status}"))
    }

    /// All that it knows.
    pub fn status(&self) -> Result<Value> {
        let text = self.get("/api/v1/status")?;
        serde_json::from_str(&text).with_context(|| format!("no status: {text}"))
    }

    fn metrics(&self) -> Result<String> {
        self.get("/metrics")
    }

    /// What it answers there.
    pub fn get(&self, path: &str) -> Result<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        Ok(asker(Duration::from_secs(5))
            .get(url)
            .call()?
            .body_mut()
            .read_to_string()?)
    }
}

/// The sums of a target's `spawn_rate` lines: spawns, threads, execs, exits.
pub fn logged(events: &[Value], target: &str) -> (u64, u64, u64, u64) {
    let lines = events
        .iter()
        .filter(|line| line["event"] == "spawn_rate" && line["target"] == target);
    let of = |field: &str| {
        let each = lines.clone().filter_map(|line| line[field].as_u64());
        each.sum()
    };
    (of("spawns"), of("threads"), of("execs"), of("exits"))
}

/// What both the guard and the witness count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub live: u64,
    pub tasks: u64,
    pub spawns: u64,
    pub threads: u64,
    pub execs: u64,
    pub exits: u64,
}

impl Seen {
    /// The witness's.
    pub fn by(counts: &Counts) -> Self {
        Self {
            live: counts.live,
            tasks: counts.tasks,
            spawns: counts.spawns,
            threads: counts.threads,
            execs: counts.execs,
            exits: counts.exits,
        }
    }

    /// What was added since.
    pub fn since(&self, before: &Self) -> (u64, u64, u64, u64) {
        (
            self.spawns - before.spawns,
            self.threads - before.threads,
            self.execs - before.execs,
            self.exits - before.exits,
        )
    }
}
