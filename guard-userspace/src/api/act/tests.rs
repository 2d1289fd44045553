//! Over real sockets, with an agent's loop that answers as it is told.

use super::*;
use crate::api::{listen, router, serve, snapshot::Snapshots};
use crate::cli::client::{self, ClientError};
use crate::cli::{Code, Failure};
use crate::model::order::{ActionAnswer, Disarm, DisarmRequest};
use crate::model::whole::WholeRequest;
use crate::model::{How, Status};
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"action":"retire","target":"metamcp","tree":4711,"dry_run":true}"#;

fn answer() -> Answer {
    Answer::End(ActionAnswer {
        action: How::Retire,
        target: "metamcp".to_owned(),
        dry_run: true,
        cost: "little".to_owned(),
        trees: Vec::new(),
    })
}

/// A loop that gives everybody this answer, and tells what it was asked.
fn agent(answer: Result<Answer, Unheard>) -> (Orders, mpsc::Receiver<Wish>) {
    let (orders, mut asked) = Orders::channel();
    let (tell, told) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(Asked { request, reply }) = asked.recv().await {
            let _ = tell.send(request).await;
            let _ = reply.send(answer.clone());
        }
    });
    (orders, told)
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("guard-act-{}-{name}", std::process::id()))
}

/// What TCP answers to `body` with these headers.
async fn over_tcp(token_file: PathBuf, headers: &str, body: &str) -> (String, Vec<Wish>) {
    let (orders, mut told) = agent(Ok(answer()));
    let (_tx, snapshots) = Snapshots::channel(Status::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let all = router(snapshots, orders, Door::Tcp { token_file });
    let server = tokio::spawn(serve::tcp(listener, all));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\
         \r\n\r\n{body}"
    );
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    server.abort();
    let mut asked = Vec::new();
    while let Ok(request) = told.try_recv() {
        asked.push(request);
    }
    (String::from_utf8(answer).unwrap(), asked)
}

/// Invariant 6.
#[tokio::test]
async fn over_tcp_nobody_acts_without_the_token() {
    let path = scratch("token");
    let (said, asked) = over_tcp(path.clone(), "", BODY).await;
    assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
    assert!(said.contains("there is no token in"), "{said}");
    assert_eq!(asked, []);
    std::fs::write(&path, "4711\n").unwrap();
    for wrong in ["", "Authorization: Bearer 4712\r\n"] {
        let (said, asked) = over_tcp(path.clone(), wrong, BODY).await;
        assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
        assert!(said.contains("www-authenticate: Bearer"), "{said}");
        assert_eq!(asked, []);
    }
    let right = "Authorization: Bearer 4711\r\n";
    let (said, asked) = over_tcp(path.clone(), right, BODY).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert_eq!(asked.len(), 1);
    for nonsense in [
        "",
        "{}",
        r#"{"action":"restart","tree":1}"#,
        r#"{"action":"reboot"}"#,
        r#"{"action":"kill","x":1}"#,
    ] {
        let (said, asked) = over_tcp(path.clone(), right, nonsense).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{nonsense}: {said}");
        assert_eq!(asked, []);
    }
    let large = format!("{BODY}{}", " ".repeat(64 << 10));
    let (said, _) = over_tcp(path.clone(), right, &large).await;
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    std::fs::remove_file(&path).unwrap();
}

/// What the command hears over the Unix socket.
async fn over_unix(name: &str, reply: Result<Answer, Unheard>) -> Result<Answer, ClientError> {
    let path = scratch(name);
    let listener = listen::unix(&path).unwrap();
    let (orders, mut told) = agent(reply);
    let (_tx, snapshots) = Snapshots::channel(Status::default());
    let server = tokio::spawn(serve::unix(listener, router(snapshots, orders, Door::Unix)));
    let heard = client::post(&path, PATH, BODY.into()).await;
    let expected = wish(BODY.as_bytes()).unwrap();
    assert_eq!(told.recv().await.unwrap(), expected);
    server.abort();
    std::fs::remove_file(&path).unwrap();
    heard.map(|body| serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn by_the_unix_socket_root_acts_without_a_token() {
    assert_eq!(over_unix("done", Ok(answer())).await.unwrap(), answer());
}

#[tokio::test]
async fn who_means_nobody_is_told_so_with_an_exit_code() {
    let no_such = Err(Unheard::NoSuch("there is no target x".to_owned()));
    let failure = Failure::from(over_unix("none", no_such).await.unwrap_err());
    assert_eq!(failure.code, Code::NotFound);
    assert_eq!(failure.to_string(), "there is no target x");
    let unclear = Err(Unheard::Unclear("say which".to_owned()));
    let failure = Failure::from(over_unix("unclear", unclear).await.unwrap_err());
    assert_eq!(failure.code, Code::Usage);
}

#[test]
fn a_body_is_taken_for_what_its_action_says() {
    let disarm = |target: Option<&str>| {
        Wish::Disarm(DisarmRequest {
            action: Disarm::Disarm,
            target: target.map(str::to_owned),
            dry_run: false,
        })
    };
    let check = |body: &str, expected: Option<Wish>| {
        assert_eq!(wish(body.as_bytes()).ok(), expected, "{body}");
    };
    check(r#"{"action":"disarm"}"#, Some(disarm(None)));
    check(
        r#"{"action":"disarm","target":"x"}"#,
        Some(disarm(Some("x"))),
    );
    check(r#"{"action":"disarm","tree":1}"#, None);
    check(r#"{"action":"arm"}"#, None);
    for action in Whole::ALL {
        let whole = |target: Option<&str>, dry_run| {
            Wish::Whole(WholeRequest {
                action,
                target: target.map(str::to_owned),
                dry_run,
            })
        };
        let name = action.name();
        let body = format!(r#"{{"action":"{name}"}}"#);
        check(&body, Some(whole(None, false)));
        let body = format!(r#"{{"action":"{name}","target":"x","dry_run":true}}"#);
        check(&body, Some(whole(Some("x"), true)));
        check(&format!(r#"{{"action":"{name}","tree":1}}"#), None);
    }
    for how in How::ALL {
        let body = format!(r#"{{"action":"{}","tree":1}}"#, how.name());
        assert!(matches!(wish(body.as_bytes()), Ok(Wish::End(_))), "{body}");
    }
    check("[]", None);
    check(r#"{"action":7}"#, None);
    let unknown = wish(br#"{"action":"arm"}"#).unwrap_err();
    insta::assert_snapshot!(unknown, @"there is no action `arm`; there are: retire, kill, end, force, disarm, cleanup, freeze, thaw, isolate, rejoin, restart, recreate, enforce, prevent");
    assert!(matches!(wish(BODY.as_bytes()), Ok(Wish::End(_))));
}
