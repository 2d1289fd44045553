//! Asks the running agent over its Unix socket.

use super::exit::{Code, Failure};
use crate::api::act;
use crate::model::Status;
use anyhow::anyhow;
use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for an action's end: the agent says after 4 minutes that it is under way.
const ACTION_PATIENCE: Duration = Duration::from_secs(270);
/// Largest answer: 500 targets come to less than 1 MiB.
const ANSWER_BYTES: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no agent answers at {}; start one: sudo metamcp-guard run", .0.display())]
    NoAgent(PathBuf),
    /// No socket can be there.
    #[error("{} cannot be an agent's socket: {cause}; name its socket with --socket", socket.display())]
    NoPath {
        /// Where.
        socket: PathBuf,
        /// Why.
        cause: String,
    },
    /// The socket is root's.
    #[error("may not ask the agent at {}: only root may; run it with sudo", .0.display())]
    NotAllowed(PathBuf),
    /// Somebody listens and does not answer.
    #[error("the agent at {} did not answer within 5 s; its log says what it does", .0.display())]
    Silent(PathBuf),
    /// An action took too long.
    #[error(
        "the agent at {} has not said how the action ended; its log and `status` say it", .0.display()
    )]
    NoEnd(PathBuf),
    /// It answered why not.
    #[error("{why}")]
    Problem {
        /// Why.
        why: String,
        /// The answer's status.
        status: StatusCode,
    },
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
    /// It cannot be asked at all.
    #[error("cannot {what}: {cause}")]
    Unasked {
        /// What could not be done.
        what: &'static str,
        /// Why.
        cause: String,
    },
    /// Its answer is none.
    #[error("the agent's answer is none: is it of another version?: {0}")]
    NoAnswer(serde_json::Error),
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
            ClientError::NoPath { .. } => Code::Usage,
            ClientError::NotAllowed(_) => Code::NoPermission,
            ClientError::Problem { status, .. } => code_of(status),
            _ => Code::CheckFailed,
        };
        Self::new(code, anyhow!(error))
    }
}

/// What an answer's status means to the shell.
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::Usage,
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Code::NoPermission,
        StatusCode::NOT_FOUND => Code::NotFound,
        _ => Code::CheckFailed,
    }
}

/// Why not, as the agent words it.
#[derive(Deserialize)]
struct Problem {
    error: String,
}

/// Asks for `path` and returns the body.
///
/// # Errors
/// Nobody answers, in time, or with success.
pub async fn get(socket: &Path, path: &str) -> Result<Bytes, ClientError> {
    let request = Request::get(path).body(Full::default());
    match tokio::time::timeout(PATIENCE, ask(socket, path, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::Silent(socket.to_owned())),
    }
}

/// Asks for the status.
///
/// # Errors
/// Nobody answers, in time, or with success; or the answer is none.
pub fn status(socket: &Path) -> Result<Status, ClientError> {
    let answer = runtime()?.block_on(get(socket, "/api/v1/status"))?;
    serde_json::from_slice(&answer).map_err(ClientError::NoAnswer)
}

/// Has the agent act, and waits for its answer.
///
/// # Errors
/// Nobody answers, in time, or with success; or the answer is none.
pub fn act<A: DeserializeOwned>(socket: &Path, action: &impl Serialize) -> Result<A, ClientError> {
    let body = serde_json::to_vec(action);
    let body = body.map_err(|error| unasked("write JSON", &error))?;
    let answer = runtime()?.block_on(post(socket, act::PATH, body))?;
    serde_json::from_slice(&answer).map_err(ClientError::NoAnswer)
}

fn runtime() -> Result<Runtime, ClientError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unasked("start the asynchronous runtime", &error))
}

fn unasked(what: &'static str, error: &impl ToString) -> ClientError {
    let cause = error.to_string();
    ClientError::Unasked { what, cause }
}

/// Sends JSON to `path` and returns the body of the answer.
///
/// # Errors
/// Nobody answers, in time, or with success.
pub async fn post(socket: &Path, path: &str, json: Vec<u8>) -> Result<Bytes, ClientError> {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Full::from(json));
    match tokio::time::timeout(ACTION_PATIENCE, ask(socket, path, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::NoEnd(socket.to_owned())),
    }
}

async fn ask(
    socket: &Path,
    path: &str,
    request: Result<Request<Full<Bytes>>, hyper::http::Error>,
) -> Result<Bytes, ClientError> {
    let broken = |cause: String| ClientError::Broken {
        socket: socket.to_owned(),
        cause,
    };
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|err| unreachable(socket, &err))?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|err| broken(err.to_string()))?;
    tokio::spawn(connection);
    let mut request = request.map_err(|err| broken(err.to_string()))?;
    let host = HeaderValue::from_static("agent");
    request.headers_mut().insert(HOST, host);
    let answer = sender.send_request(request).await;
    let answer = answer.map_err(|err| broken(err.to_string()))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES)
        .collect()
        .await;
    let body = body.map_err(|err| broken(err.to_string()))?.to_bytes();
    if status.is_success() {
        Ok(body)
    } else if let Ok(Problem { error: why }) = serde_json::from_slice(&body) {
        Err(ClientError::Problem { why, status })
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
        ErrorKind::InvalidInput | ErrorKind::NotADirectory => ClientError::NoPath {
            socket,
            cause: err.to_string(),
        },
        _ => ClientError::Broken {
            socket,
            cause: err.to_string(),
        },
    }
}
