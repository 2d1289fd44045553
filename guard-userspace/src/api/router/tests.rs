//! Over a real socket, as a client sees it.

use super::router;
use crate::api::health::health;
use crate::api::snapshot::{Snapshot, Snapshots};
use crate::api::{Door, Orders};
use crate::api::{listen, serve};
use crate::cli::client;
use crate::model::status::{GateStatus, Status, TargetStatus};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// All paths, for who comes through the Unix socket, with nobody who takes orders.
fn all(snapshots: Snapshots) -> axum::Router {
    router(snapshots, Orders::channel().0, Door::Unix)
}

fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        mode: "enforce".to_owned(),
        sensing: true,
        gate: GateStatus {
            mode: "kill".to_owned(),
            proved: true,
            why: "seen".to_owned(),
            ..GateStatus::default()
        },
        targets: vec![TargetStatus {
            name: "metamcp".to_owned(),
            ..TargetStatus::default()
        }],
        ..Status::default()
    }
}

/// Sends `request` over TCP and returns all that comes back.
async fn ask(status: Status, request: &str) -> String {
    let (_tx, snapshots) = Snapshots::channel(status);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve::tcp(listener, all(snapshots)));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses the head may close before it has read all of it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    server.abort();
    String::from_utf8(answer).unwrap()
}

async fn get(status: Status, path: &str, headers: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    ask(status, &head).await
}

#[tokio::test]
async fn healthz_is_200_while_all_is_well_and_503_with_reasons() {
    let answer = get(status(), "/healthz", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains(r#""status":"ok","reasons":[]"#), "{answer}");
    let mut degraded = status();
    degraded
        .degraded
        .push("the journal's disk is full".to_owned());
    let answer = get(degraded, "/healthz", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "it guards: {answer}");
    assert!(answer.contains("the journal's disk is full"), "{answer}");
    let mut failing = status();
    failing
        .problems
        .push("the canary's fork went through".to_owned());
    let answer = get(failing, "/healthz", "").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.contains("the canary's fork went through"),
        "{answer}"
    );
}

#[test]
fn a_loop_that_stands_still_is_not_healthy() {
    let snapshot = Snapshot::now(status());
    assert!(health(&snapshot, Duration::from_secs(5)).is_ok());
    let health = health(&snapshot, Duration::from_secs(6));
    assert!(!health.is_ok() && !health.sensing);
    assert!(health.reasons[0].contains("6 s"), "{:?}", health.reasons);
}

#[tokio::test]
async fn the_format_of_metrics_is_negotiated() {
    let answer = get(status(), "/metrics", "").await;
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    assert!(!answer.contains("# EOF"), "{answer}");
    let accept = "Accept: application/openmetrics-text;version=1.0.0\r\n";
    let answer = get(status(), "/metrics", accept).await;
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn the_status_comes_back_as_it_was() {
    let answer = get(status(), "/api/v1/status", "").await;
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(serde_json::from_str::<Status>(body).unwrap(), status());
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        json["targets"][0]["counts"]["live"], 0,
        "the demo and operators' scripts read it there"
    );
}

/// The reason in a body that is JSON.
fn said(answer: &str) -> String {
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_not_there_and_what_may_not_be_done() {
    let answer = get(status(), "/nowhere", "").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(said(&answer).contains("/api/v1/status"), "{answer}");
    let post = "POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = ask(status(), post).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(said(&answer).contains("GET"), "{answer}");
    let get = get(status(), "/api/v1/actions", "").await;
    assert!(
        get.starts_with("HTTP/1.1 405 ") && said(&get).contains("POST"),
        "{get}"
    );
}

#[tokio::test]
async fn a_head_beyond_the_limit_and_nonsense_are_refused() {
    let answer = get(
        status(),
        "/healthz",
        &format!("X: {}\r\n", "y".repeat(64 << 10)),
    )
    .await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    let answer = ask(status(), "\u{0}\u{1}nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn who_asks_gets_what_is_known_then_and_not_a_second_ago() {
    let (tx, snapshots) = Snapshots::channel(status());
    let asked = snapshots.clone();
    let agent = tokio::spawn(async move {
        asked.asked().await;
        let mut fresh = status();
        fresh.targets[0].counts.spawns = 7;
        let _ = tx.send(Snapshot::now(fresh));
        // The sender lives until the answer is taken.
        asked.asked().await;
    });
    let fresh = snapshots.fresh().await;
    assert_eq!(fresh.status.targets[0].counts.spawns, 7);
    agent.abort();
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_does_not_answer_leaves_the_last_snapshot() {
    let (_tx, snapshots) = Snapshots::channel(status());
    assert_eq!(*snapshots.fresh().await.status, status());
}

/// A path of its own below the temporary directory, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("guard-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_replaces_a_dead_agents() {
    let scratch = Scratch::new("socket");
    let path = scratch.0.join("agent.sock");
    drop(listen::unix(&path).unwrap());
    assert!(path.exists(), "a dead agent's socket stays");
    let listener = listen::unix(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (_tx, snapshots) = Snapshots::channel(status());
    let server = tokio::spawn(serve::unix(listener, all(snapshots)));
    let body = client::get(&path, "/api/v1/status").await.unwrap();
    assert_eq!(serde_json::from_slice::<Status>(&body).unwrap(), status());
    server.abort();
}

#[tokio::test]
async fn a_file_in_the_sockets_place_is_left_alone() {
    let scratch = Scratch::new("file");
    let path = scratch.0.join("agent.sock");
    std::fs::write(&path, "mine").unwrap();
    let error = listen::unix(&path).unwrap_err().to_string();
    assert!(error.contains("is no socket"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_with_the_fix() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = listen::tcp(address).await.unwrap_err().to_string();
    assert!(
        error.contains(&address.to_string()) && error.contains("`listen`"),
        "{error}"
    );
}
