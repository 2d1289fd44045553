//! Docker, asked from a thread that may wait: each call has a connection, a budget of bytes and a time
//! of its own, so that a daemon that hangs or talks nonsense costs that call and nothing else.

use crate::targets::Endpoint;
use crate::targets::transport::{Budget, client};
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerState};
use bollard::query_parameters::{RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder};
use core::fmt;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Most bytes of one answer.
const ANSWER: u64 = 8 << 20;

/// Longest wait for what Docker answers at once.
pub const SOON: Duration = Duration::from_secs(10);

/// How Docker is asked.
#[derive(Debug)]
pub struct Daemon {
    endpoint: Endpoint,
    runtime: Runtime,
}

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such thing.
    Absent(String),
    /// Docker will not.
    Refused(String),
    /// Docker cannot be asked, or did not answer in time: what became of it is not known.
    Lost(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(why) | Self::Refused(why) => out.write_str(why),
            Self::Lost(why) => write!(out, "Docker cannot be asked: {why}"),
        }
    }
}

impl Daemon {
    /// The one at `endpoint`. Nothing is connected yet.
    ///
    /// # Errors
    /// No runtime: in words.
    pub fn at(endpoint: &Endpoint) -> Result<Self, Trouble> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Trouble::Lost(error.to_string()))?;
        Ok(Self {
            endpoint: endpoint.clone(),
            runtime,
        })
    }

    /// Asks once, and waits for at most `within`.
    ///
    /// # Errors
    /// Docker's, or none came.
    pub fn ask<T>(
        &self,
        within: Duration,
        ask: impl AsyncFnOnce(Docker) -> Result<T, Error>,
    ) -> Result<T, Trouble> {
        let budget = Budget::new(ANSWER);
        let docker = client(&self.endpoint, &budget, within);
        let docker = docker.map_err(|error| Trouble::Lost(budget.explain(&error)))?;
        let answer = self.runtime.block_on(async {
            // The client's own limit is up to the head of the answer.
            let most = within.saturating_add(Duration::from_secs(1));
            timeout(most, ask(docker)).await
        });
        let endpoint = &self.endpoint;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Err(_) | Ok(Err(Error::RequestTimeoutError)) => Err(Trouble::Lost(format!(
                "{endpoint} did not answer within {} s",
                within.as_secs()
            ))),
            Ok(Err(error)) => Err(trouble(endpoint, &budget, &error)),
        }
    }

    /// What Docker says of a container.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn inspect(&self, container: &str) -> Result<ContainerInspectResponse, Trouble> {
        self.ask(SOON, async |docker| {
            docker.inspect_container(container, None).await
        })
    }

    /// Whether a container runs, and how.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn state(&self, container: &str) -> Result<ContainerState, Trouble> {
        Ok(self.inspect(container)?.state.unwrap_or_default())
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn rename(&self, container: &str, name: &str) -> Result<(), Trouble> {
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        self.ask(SOON, async |docker| {
            docker.rename_container(container, options).await
        })
    }

    /// Removes a container; its volumes stay. `force`: though it runs.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn remove(&self, container: &str, force: bool) -> Result<(), Trouble> {
        let options = RemoveContainerOptionsBuilder::new().force(force).build();
        self.ask(3 * SOON, async |docker| {
            docker.remove_container(container, Some(options)).await
        })
    }
}

fn trouble(endpoint: &Endpoint, budget: &Budget, error: &Error) -> Trouble {
    let why = budget.explain(error);
    match error {
        Error::DockerResponseServerError { status_code, .. } => match status_code {
            404 => Trouble::Absent(why),
            _ => Trouble::Refused(why),
        },
        _ => Trouble::Lost(format!("{endpoint}: {why}")),
    }
}
