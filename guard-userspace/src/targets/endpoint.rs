//! Where Docker listens.

use std::fmt;
use std::path::PathBuf;

/// Docker's own default.
const DEFAULT: &str = "/var/run/docker.sock";

/// Where Docker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// Plain HTTP: host and port.
    Tcp(String),
}

/// `DOCKER_HOST` names something that cannot be spoken to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "DOCKER_HOST is {0:?}, which is no endpoint that the guard can speak to: \
     use unix:///path/to/docker.sock, or tcp://host:port for plain HTTP on this machine"
)]
pub struct UnknownEndpoint(String);

/// Docker's own default.
impl Default for Endpoint {
    fn default() -> Self {
        Self::Unix(PathBuf::from(DEFAULT))
    }
}

impl Endpoint {
    /// `DOCKER_HOST`, or Docker's default where it is unset or empty.
    ///
    /// # Errors
    /// A scheme other than `unix`, `tcp` and `http`, or nothing behind it.
    pub fn from_env() -> Result<Self, UnknownEndpoint> {
        let host = std::env::var_os("DOCKER_HOST").unwrap_or_default();
        match host.to_string_lossy() {
            host if host.is_empty() => Ok(Self::default()),
            host => Self::parse(&host),
        }
    }

    /// An endpoint in the form of `DOCKER_HOST`.
    ///
    /// # Errors
    /// A scheme other than `unix`, `tcp` and `http`, or nothing behind it.
    pub fn parse(host: &str) -> Result<Self, UnknownEndpoint> {
        let unknown = || UnknownEndpoint(host.to_owned());
        let (scheme, rest) = host.split_once("://").ok_or_else(unknown)?;
        match (scheme, rest.trim_end_matches('/')) {
            (_, "") => Err(unknown()),
            ("unix", path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            ("tcp" | "http", address) if !address.contains('/') => {
                let has_port = address
                    .rsplit_once(':')
                    .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                Ok(Self::Tcp(if has_port {
                    address.to_owned()
                } else {
                    format!("{address}:2375")
                }))
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_docker_host() {
        let check = |host: &str, expect: Option<&str>| {
            assert_eq!(
                Endpoint::parse(host).ok().map(|e| e.to_string()).as_deref(),
                expect,
                "{host}"
            );
        };
        check(
            "unix:///run/user/1000/docker.sock",
            Some("unix:///run/user/1000/docker.sock"),
        );
        check("tcp://127.0.0.1:2376", Some("tcp://127.0.0.1:2376"));
        check("tcp://127.0.0.1", Some("tcp://127.0.0.1:2375"));
        check("http://[::1]:99/", Some("tcp://[::1]:99"));
        check("unix://", None);
        check("unix://relative.sock", None);
        check("ssh://root@host", None);
        check("https://host:1", None);
        check("/var/run/docker.sock", None);
        check("", None);
    }

    #[test]
    fn the_error_names_what_would_do() {
        let error = Endpoint::parse("ssh://box").unwrap_err().to_string();
        assert!(
            error.contains("\"ssh://box\"") && error.contains("unix://"),
            "{error}"
        );
    }
}
