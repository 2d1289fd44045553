//! The gateway that treats its servers as MetaMCP does (`tests/gateways/metamcp.js`), in a container:
//! started in one of several layouts, asked for sessions and tools, and for what it believes.

mod hand;
mod layout;
mod servers;
mod state;
mod storm;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::gateway::{asker, free_port};
use super::{Container, Docker, Parent};
use crate::check::eventually;

pub use layout::Layout;
pub use servers::Server;
pub use state::{Crash, Process, Refused, ServerState, State, TimedOut};
pub use storm::{Report, SessionReport};

/// Longest from the container's start until the gateway listens.
const LISTENS: Duration = Duration::from_secs(60);
/// Longest for an answer that no server has a part in.
const AT_ONCE: Duration = Duration::from_secs(30);

/// How a gateway is to be.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// What is PID 1, and what stands between it and the gateway.
    pub layout: Layout,
    /// The servers of every session.
    pub servers: Vec<Server>,
    /// From listening to the first idle instances: 3 s in MetaMCP.
    pub boot: Duration,
    /// How long it waits for a server's answer, `initialize` too: 60 s in MetaMCP.
    pub patience: Duration,
    /// More options of `docker run`.
    pub options: &'a [&'a str],
}

impl Default for Setup<'_> {
    /// MetaMCP's own layout, three npx servers, quick to boot.
    fn default() -> Self {
        Self {
            layout: Layout::Entrypoint,
            servers: Server::npx(3),
            boot: Duration::from_millis(300),
            patience: Duration::from_secs(60),
            options: &[],
        }
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct MetaMcp {
    /// Its container.
    pub container: Container,
    port: u16,
}

/// An answer to `tools/list`, or why there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Time until it came, or until the client gave up.
    pub took: Duration,
    /// The servers whose tools are in it.
    pub servers: Vec<String>,
    /// What came instead.
    pub error: Option<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{error} after {:.1?}", self.took),
            None => write!(f, "{} in {:.1?}", self.servers.len(), self.took),
        }
    }
}

impl MetaMcp {
    /// Starts one in `parent` and waits until it listens. Its pool is still empty then: see
    /// [`Self::settled`].
    ///
    /// # Errors
    /// Docker's, or it did not listen in time.
    pub fn start(
        docker: &Docker,
        image: &str,
        parent: &Parent,
        name: &str,
        setup: &Setup<'_>,
    ) -> Result<Self> {
        let port = free_port()?;
        let servers = setup.servers.iter();
        let servers: serde_json::Map<_, _> = servers.map(Server::entry).collect();
        let config = json!({
            "port": port,
            "boot_ms": millis(setup.boot),
            "request_ms": millis(setup.patience),
            "servers": servers,
        });
        let config = format!("METAMCP={config}");
        let environment = ["-e", &config, "-e", "SETTLE=0.2"];
        let rest = [
            setup.options,
            &environment,
            setup.layout.options(),
            &[image],
            setup.layout.command(),
        ];
        let container = Container::create(docker, parent, name, &rest.concat())?;
        container.give(layout::PLACE, &layout::FILES)?;
        let cold = setup.servers.iter().filter_map(Server::cold_link);
        let cold: Vec<_> = cold.collect();
        if !cold.is_empty() {
            container.link(servers::COLD, &cold)?;
        }
        container.start()?;
        let gateway = Self { container, port };
        eventually("the gateway listens", LISTENS, || {
            // Asked first: where CPUs are emulated, each question to Docker takes one for a second.
            let listens = gateway.state().is_ok();
            ensure!(listens || gateway.container.runs()?, "its container ended");
            Ok(listens)
        })
        .with_context(|| gateway.container.logs().unwrap_or_default())?;
        Ok(gateway)
    }

    /// Waits until nothing is being started: the pool's first round is over, however it went.
    ///
    /// # Errors
    /// Not in time.
    pub fn settled(&self, limit: Duration) -> Result<State> {
        let mut last = None;
        eventually("the gateway starts nothing", limit, || {
            let state = self.state()?;
            let still = state.is_settled();
            last = Some(state);
            std::thread::sleep(Duration::from_millis(100));
            Ok(still)
        })
        .with_context(|| format!("{last:?}"))?;
        last.context("never asked")
    }

    /// What it believes of its servers.
    ///
    /// # Errors
    /// No answer within half a minute.
    pub fn state(&self) -> Result<State> {
        let reply = asker(AT_ONCE).get(self.at("state")).call()?;
        read(reply)
    }

    /// Opens a session; gives its id. It is never ended but by [`Self::end`].
    ///
    /// # Errors
    /// No answer within half a minute.
    pub fn open(&self) -> Result<String> {
        let reply = asker(AT_ONCE).post(self.at("session")).send_empty()?;
        Ok(read::<Opened>(reply)?.id)
    }

    /// Asks a session for its tools; the client waits so long.
    #[must_use]
    pub fn list(&self, session: &str, patience: Duration) -> Answer {
        let asked = Instant::now();
        let reply = asker(patience)
            .get(self.at(&format!("tools/{session}")))
            .call();
        let listed = reply.map_err(Into::into).and_then(read::<Listed>);
        let took = asked.elapsed();
        let (servers, error) = match listed {
            Ok(listed) => (listed.servers, None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        Answer {
            took,
            servers,
            error,
        }
    }

    /// Ends a session, as a client does that behaves.
    ///
    /// # Errors
    /// No such session, or no answer.
    pub fn end(&self, session: &str) -> Result<()> {
        let url = self.at(&format!("session/{session}"));
        let reply = asker(AT_ONCE).delete(url).call()?;
        read::<serde_json::Value>(reply).map(drop)
    }

    /// Takes all servers out of ERROR, as an operator does.
    ///
    /// # Errors
    /// No answer within half a minute.
    pub fn reset(&self) -> Result<()> {
        let reply = asker(AT_ONCE).post(self.at("reset")).send_empty()?;
        read::<serde_json::Value>(reply).map(drop)
    }

    /// Where it says that it lives, for a [`Prober`](super::prober::Prober).
    #[must_use]
    pub fn health(&self) -> String {
        self.at("health")
    }

    fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

#[derive(Deserialize)]
struct Opened {
    id: String,
}

#[derive(Deserialize)]
struct Listed {
    servers: Vec<String>,
}

fn read<T: DeserializeOwned>(mut reply: ureq::http::Response<ureq::Body>) -> Result<T> {
    let status = reply.status();
    let text = reply.body_mut().read_to_string()?;
    ensure!(status.is_success(), "status {status}: {text}");
    serde_json::from_str(&text).with_context(|| format!("not what was asked for: {text}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
