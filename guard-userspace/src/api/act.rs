//! `POST /api/v1/actions`: asks the agent's loop for an action and waits for its end.

use super::auth::{AuthError, Door};
use crate::model::How;
use crate::model::order::{Answer, Request as Wish};
use crate::model::whole::Whole;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Its path.
pub const PATH: &str = "/api/v1/actions";

/// Requests that may wait for the loop.
const WAITING: usize = 16;

/// Largest body, in bytes.
const BODY_BYTES: usize = 16 << 10;

/// Longest time for a body to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked for.
    pub request: Wish,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Answer, Unheard>>,
}

/// Why a request came to nothing: it means nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// It does not say whom it means.
    #[error("{0}")]
    Unclear(String),
    /// There is no such target or tree.
    #[error("{0}")]
    NoSuch(String),
}

/// Takes requests to the agent's loop.
#[derive(Clone, Debug)]
pub struct Orders(mpsc::Sender<Asked>);

impl Orders {
    /// A way for requests, and its end at the loop.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Asked>) {
        let (orders, asked) = mpsc::channel(WAITING);
        (Self(orders), asked)
    }
}

#[derive(Clone)]
struct Acting {
    orders: Orders,
    door: Door,
}

/// The path and its answers, to who came through `door`.
pub(super) fn routes(orders: Orders, door: Door) -> Router {
    Router::new()
        .route(PATH, post(act))
        .with_state(Acting { orders, door })
}

/// The body of an answer that is no [`Answer`].
#[derive(Debug, Serialize)]
struct Problem {
    error: String,
}

async fn act(State(acting): State<Acting>, request: Request) -> Response {
    // Before the body: nobody else may keep us reading.
    if let Err(error) = acting.door.may_act(request.headers()) {
        return refused(&error);
    }
    let body = timeout(BODY_TIME, to_bytes(request.into_body(), BODY_BYTES)).await;
    let Ok(Ok(body)) = body else {
        return problem(
            StatusCode::BAD_REQUEST,
            "the body is too large, or did not come",
        );
    };
    let request = match wish(&body) {
        Ok(request) => request,
        Err(error) => {
            let why = format!(
                "the body is no action ({error}); it is like \
                 {{\"action\":\"retire\",\"target\":\"metamcp\",\"tree\":123,\"dry_run\":true}}"
            );
            return problem(StatusCode::BAD_REQUEST, &why);
        }
    };
    let (reply, answer) = oneshot::channel();
    if acting.orders.0.try_send(Asked { request, reply }).is_err() {
        let why = "the agent has no time for more actions now: try again";
        return problem(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    match answer.await {
        Ok(Ok(answer)) => ([(CACHE_CONTROL, "no-store")], Json(answer)).into_response(),
        Ok(Err(unheard)) => {
            let status = match unheard {
                Unheard::Unclear(_) => StatusCode::BAD_REQUEST,
                Unheard::NoSuch(_) => StatusCode::NOT_FOUND,
            };
            problem(status, &unheard.to_string())
        }
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the agent ends"),
    }
}

/// What a body asks for.
///
/// # Errors
/// It is no JSON, names no action that there is, or has fields that this action has not.
fn wish(body: &[u8]) -> Result<Wish, String> {
    let said = |error: serde_json::Error| error.to_string();
    let value: serde_json::Value = serde_json::from_slice(body).map_err(said)?;
    let word = value.get("action").and_then(|action| action.as_str());
    let word = word.ok_or("`action` is missing or no word")?.to_owned();
    let whole = Whole::ALL.into_iter().map(Whole::name);
    if word == "disarm" {
        serde_json::from_value(value)
            .map(Wish::Disarm)
            .map_err(said)
    } else if whole.clone().any(|name| name == word) {
        serde_json::from_value(value).map(Wish::Whole).map_err(said)
    } else if How::ALL.iter().any(|how| how.name() == word) {
        serde_json::from_value(value).map(Wish::End).map_err(said)
    } else {
        let trees = How::ALL.into_iter().map(How::name);
        let all: Vec<&str> = trees.chain(["disarm"]).chain(whole).collect();
        Err(format!(
            "there is no action `{word}`; there are: {}",
            all.join(", ")
        ))
    }
}

fn refused(error: &AuthError) -> Response {
    let status = error.status();
    let answer = problem(status, &error.to_string());
    if status == StatusCode::UNAUTHORIZED {
        ([(WWW_AUTHENTICATE, "Bearer")], answer).into_response()
    } else {
        answer
    }
}

pub(super) fn problem(status: StatusCode, error: &str) -> Response {
    let error = error.to_owned();
    (
        status,
        [(CACHE_CONTROL, "no-store")],
        Json(Problem { error }),
    )
        .into_response()
}

#[cfg(test)]
mod tests;
