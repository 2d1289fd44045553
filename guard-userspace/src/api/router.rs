//! Paths and their answers.

use super::act::{self, Orders};
use super::auth::Door;
use super::health::health;
use super::snapshot::Snapshots;
use crate::sinks::metrics::{self, Format};
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

/// Answers all paths to who came through `door`.
pub fn router(snapshots: Snapshots, orders: Orders, door: Door) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(scrape))
        .route("/api/v1/status", get(status))
        .fallback(nothing_here)
        .with_state(snapshots)
        .merge(act::routes(orders, door))
        .method_not_allowed_fallback(not_so)
}

async fn healthz(State(snapshots): State<Snapshots>) -> Response {
    let snapshot = snapshots.newest();
    let health = health(&snapshot, snapshot.taken.elapsed());
    let code = if health.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, [(CACHE_CONTROL, "no-store")], Json(health)).into_response()
}

async fn scrape(State(snapshots): State<Snapshots>, headers: HeaderMap) -> Response {
    let accept = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok());
    let format = Format::wanted(&accept.collect::<Vec<_>>().join(","));
    match metrics::render(snapshots.fresh().await.status, format) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(err) => (StatusCode::INTERNAL_SERVER_ERROR, err.to_string()).into_response(),
    }
}

async fn status(State(snapshots): State<Snapshots>) -> Response {
    let status = snapshots.fresh().await.status;
    ([(CACHE_CONTROL, "no-store")], Json(status.as_ref())).into_response()
}

async fn nothing_here() -> Response {
    let why = "nothing here; there are /healthz, /metrics, /api/v1/status, /api/v1/logs/TIER and POST \
               /api/v1/actions";
    act::problem(StatusCode::NOT_FOUND, why)
}

async fn not_so() -> Response {
    let why = "not by this method: /api/v1/actions takes POST, all else GET";
    act::problem(StatusCode::METHOD_NOT_ALLOWED, why)
}

#[cfg(test)]
mod tests;
