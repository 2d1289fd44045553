//! supergateway in a container: one npx server for each session, for ever.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Container, Docker, Parent, image};
use crate::check::eventually;

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// Its container.
    pub container: Container,
    port: u16,
}

impl Gateway {
    /// Starts one in `parent` with more options of `docker run`, and waits until it listens.
    ///
    /// # Errors
    /// Docker's, or it did not listen within 30 s.
    pub fn start(
        docker: &Docker,
        image: &str,
        parent: &Parent,
        name: &str,
        options: &[&str],
    ) -> Result<Self> {
        let port = free_port()?;
        let server = format!("npx -y {}", image::SERVER);
        let port_text = port.to_string();
        let command = [
            image,
            "supergateway",
            "--stdio",
            &server,
            "--outputTransport",
            "streamableHttp",
            "--stateful",
            "--port",
            &port_text,
            "--healthEndpoint",
            "/healthz",
            "--logLevel",
            "none",
        ];
        let container = Container::run(docker, parent, name, &[options, &command].concat())?;
        let gateway = Self { container, port };
        let asker = asker(Duration::from_secs(1));
        eventually("the gateway listens", Duration::from_secs(30), || {
            Ok(asker.get(gateway.health()).call().is_ok())
        })
        .with_context(|| {
            docker
                .output(&["logs", gateway.container.id()])
                .unwrap_or_default()
        })?;
        Ok(gateway)
    }

    /// Where it says whether it is well.
    #[must_use]
    pub fn health(&self) -> String {
        format!("http://127.0.0.1:{}/healthz", self.port)
    }

    /// Where it speaks MCP.
    #[must_use]
    pub fn mcp(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }
}

/// An HTTP client that waits so long for a whole answer, and takes any status for one.
#[must_use]
pub fn asker(limit: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false);
    config.build().into()
}

/// A port that nobody listens at just now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}
