//! `GET /api/v1/logs/TIER`: the last lines of a tier's log file.

use super::act::problem;
use crate::config::Config;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

/// Most that is read of a file's end, in bytes: some 200 lines.
const MOST_BYTES: u64 = 64 << 10;

/// The tiers' log files, by tier.
#[derive(Clone, Debug)]
pub struct Logs(Arc<BTreeMap<&'static str, BTreeSet<PathBuf>>>);

impl Logs {
    /// Those that the configuration names.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut all: BTreeMap<&'static str, BTreeSet<PathBuf>> = BTreeMap::new();
        for tier in crate::config::protocol::Tiers::NAMES {
            let targets = config.targets.iter();
            let paths = targets.filter_map(|one| one.tiers.log_of(tier, &config.state_dir));
            all.insert(tier, paths.collect());
        }
        Self(Arc::new(all))
    }
}

/// The path and its answers.
pub fn routes(logs: Logs) -> Router {
    Router::new()
        .route("/api/v1/logs/{tier}", get(last_lines))
        .with_state(logs)
}

async fn last_lines(State(logs): State<Logs>, Path(tier): Path<String>) -> Response {
    let Some(paths) = logs.0.get(tier.as_str()).cloned() else {
        let tiers: Vec<&str> = logs.0.keys().copied().collect();
        let why = format!("there is no tier {tier}; there are: {}", tiers.join(", "));
        return problem(StatusCode::NOT_FOUND, &why);
    };
    let read = move || {
        let mut text = String::new();
        for path in &paths {
            let end = end_of(path).map_err(|error| format!("{}: {error}", path.display()))?;
            text.push_str(&end);
        }
        Ok::<_, String>(text)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(text)) => {
            let kind = "application/x-ndjson; charset=utf-8";
            ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], text).into_response()
        }
        Ok(Err(why)) => problem(StatusCode::INTERNAL_SERVER_ERROR, &why),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the agent ends"),
    }
}

/// Its last whole lines. One that is not there has none yet.
fn end_of(path: &std::path::Path) -> io::Result<String> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MOST_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if from == 0 {
        &*text
    } else {
        text.split_once('\n').map_or("", |(_, rest)| rest)
    };
    Ok(whole.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    async fn asked(config: &Config, tier: &str) -> (StatusCode, String) {
        let answer = last_lines(State(Logs::of(config)), Path(tier.to_owned())).await;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_last_whole_lines_of_a_tier() {
        let dir = std::env::temp_dir().join(format!("guard-logs-{}", std::process::id()));
        let config = Config {
            state_dir: dir.clone(),
            ..Config::default()
        };
        let (status, text) = asked(&config, "host_monitor").await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, ""), "none yet");
        std::fs::create_dir_all(dir.join("logs")).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        std::fs::write(dir.join("logs/host_monitor.log"), line.repeat(100)).unwrap();
        let (status, text) = asked(&config, "host_monitor").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(text.lines().count(), 65);
        assert!(text.lines().all(|one| one.len() == 999), "whole ones");
        let (status, text) = asked(&config, "gate").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(
            text.contains("there are: host_monitor, nuclear_monitor"),
            "{text}"
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
