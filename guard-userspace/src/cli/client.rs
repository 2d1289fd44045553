//! Asks the running agent over its Unix socket.

use super::exit::{Code, Failure};
use anyhow::anyhow;
use axum::body::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer: 500 targets come to less than 1 MiB.
const ANSWER_BYTES: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no agent answers at {}; start one: sudo metamcp-guard run", .0.display())]
    NoAgent(PathBuf),
    /// The socket is root's.
    #[error("may not ask the agent at {}: only root may; run it with sudo", .0.display())]
    NotAllowed(PathBuf),
    /// Somebody listens and does not answer.
    #[error("the agent at {} did not answer within 5 s; its log says what it does", .0.display())]
    Silent(PathBuf),
    /// It answered something else.
    #[error("the agent at {} answered {status} to {request}: is it of another version?", socket.display())]
    Refused {
        /// Where.
        socket: PathBuf,
        /// What was asked.
        request: String,
        /// What came back.
        status: StatusCode,
    },
    /// The conversation broke off.
    #[error("the agent at {} broke off: {cause}; ask again", socket.display())]
    Broken {
        /// Where.
        socket: PathBuf,
        /// Why.
        cause: String,
    },
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match error {
            ClientError::NoAgent(_) => Code::NotFound,
            ClientError::NotAllowed(_) => Code::NoPermission,
            _ => Code::CheckFailed,
        };
        Self::new(code, anyhow!(error))
    }
}

/// Asks for `path` and returns the body.
///
/// # Errors
/// Nobody answers, in time, or with success.
pub async fn get(socket: &Path, path: &str) -> Result<Bytes, ClientError> {
    match tokio::time::timeout(PATIENCE, ask(socket, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::Silent(socket.to_owned())),
    }
}

async fn ask(socket: &Path, path: &str) -> Result<Bytes, ClientError> {
    let broken = |cause: String| ClientError::Broken {
        socket: socket.to_owned(),
        cause,
    };
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|err| unreachable(socket, &err))?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|err| broken(err.to_string()))?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", "agent")
        .body(Empty::<Bytes>::new())
        .map_err(|err| broken(err.to_string()))?;
    let answer = sender.send_request(request).await;
    let answer = answer.map_err(|err| broken(err.to_string()))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES)
        .collect()
        .await;
    let body = body.map_err(|err| broken(err.to_string()))?.to_bytes();
    if status.is_success() {
        Ok(body)
    } else {
        Err(ClientError::Refused {
            socket: socket.to_owned(),
            request: path.to_owned(),
            status,
        })
    }
}

fn unreachable(socket: &Path, err: &io::Error) -> ClientError {
    let socket = socket.to_owned();
    match err.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NoAgent(socket),
        ErrorKind::PermissionDenied => ClientError::NotAllowed(socket),
        _ => ClientError::Broken {
            socket,
            cause: err.to_string(),
        },
    }
}
