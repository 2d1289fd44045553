//! supergateway in a container: one npx server for each session, for ever.

use std::collections::BTreeMap;
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
        ];
        let container = Container::run(docker, parent, name, &[options, &command].concat())?;
        let gateway = Self { container, port };
        let asker = asker(Duration::from_secs(1));
        eventually("the gateway listens", Duration::from_secs(30), || {
            Ok(asker.get(gateway.health()).call().is_ok())
        })
        .with_context(|| gateway.container.logs().unwrap_or_default())?;
        Ok(gateway)
    }

    /// How its servers ended, as it logged it: how, and how many so. None of them was asked to.
    ///
    /// # Errors
    /// Docker's.
    pub fn ended(&self) -> Result<Vec<(String, usize)>> {
        Ok(ends(&self.container.logs()?))
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

/// The ends in a gateway's log, each kind with its number.
fn ends(log: &str) -> Vec<(String, usize)> {
    let mut kinds = BTreeMap::new();
    for how in log.lines().filter_map(end) {
        *kinds.entry(how).or_default() += 1;
    }
    kinds.into_iter().collect()
}

/// What a line of the log says of a server's end. A shell passes on the end of what it ran: 128 and
/// the signal's number.
fn end(line: &str) -> Option<String> {
    // Any other failure, a broken pipe for one, is of a server whose exit is logged too.
    if line.contains("Child process failure: Error: spawn") {
        return Some("spawn refused".to_owned());
    }
    let (_, said) = line.split_once("Child exited: code=")?;
    let (code, signal) = said.split_once(", signal=")?;
    Some(match (code, signal.trim()) {
        ("134", _) => "SIGABRT".to_owned(),
        ("137", _) => "SIGKILL".to_owned(),
        (_, "null") => format!("exit {code}"),
        (_, signal) => signal.to_owned(),
    })
}

/// A port that nobody listens at just now.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_servers_ended_is_read_from_the_log() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(end(line).as_deref(), expected, "{line}");
        };
        check(
            "[supergateway] Child exited: code=245, signal=null",
            Some("exit 245"),
        );
        check(
            "[supergateway] Child exited: code=134, signal=null",
            Some("SIGABRT"),
        );
        check(
            "[supergateway] Child exited: code=null, signal=SIGKILL",
            Some("SIGKILL"),
        );
        check(
            "[supergateway] Child process failure: Error: spawn /bin/sh EAGAIN",
            Some("spawn refused"),
        );
        check(
            "[supergateway] Child process failure: Error: write EPIPE",
            None,
        );
        check("[supergateway] Listening on port 1", None);
        let log = "Child exited: code=1, signal=null\nx\nChild exited: code=1, signal=null";
        assert_eq!(ends(log), [("exit 1".to_owned(), 2)]);
    }
}
