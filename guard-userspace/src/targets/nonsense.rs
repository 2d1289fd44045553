//! Tests of following a daemon that is absent, slow or talks nonsense: the real client, against a
//! Unix socket whose other end is scripted.

use super::docker::Bounds;
use super::{Endpoint, Event, Wanted, Watch};
use crate::config::TargetSource;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const ID: &str = "51d4157d2ba2914185d411be32014bbdeb2ddab0f25962fe872724ab0599a46d";

/// No container of these tests runs, so nothing is looked up below it.
const MOUNT: &str = "/sys/fs/cgroup";

const BOUNDS: Bounds = Bounds {
    reply: Duration::from_secs(1),
    first_retry: Duration::from_millis(5),
    last_retry: Duration::from_millis(40),
    proof: Duration::from_millis(150),
    relist: Duration::from_millis(500),
    reply_bytes: 64 << 10,
    event_bytes: 32 << 10,
};

/// How the scripted daemon answers one kind of question.
#[derive(Clone, Debug)]
enum Answer {
    /// This status and body.
    Says(u16, String),
    /// A head that promises more than comes.
    Drops,
    /// Nothing, for ever.
    Silent,
    /// No HTTP at all.
    Raw(&'static str),
    /// A body that begins so and has no end.
    Endless(&'static str),
    /// This, and the connection stays open.
    Streams(String),
}

#[derive(Clone, Debug)]
struct Script {
    list: Answer,
    inspect: Answer,
    events: Answer,
}

impl Script {
    /// A daemon with one container, which does not run.
    fn sound() -> Self {
        Self {
            list: Answer::Says(200, list("gw")),
            inspect: Answer::Says(404, "{}".into()),
            events: Answer::Streams(String::new()),
        }
    }
}

fn list(name: &str) -> String {
    format!(r#"[{{"Id":"{ID}","Names":["/{name}"],"State":"exited","Labels":{{}}}}]"#)
}

struct Daemon {
    path: PathBuf,
    script: Arc<Mutex<Script>>,
    connections: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

impl Daemon {
    fn start(script: Script) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::start_at(
            std::env::temp_dir().join(format!("guard-dockerd-{}-{n}", std::process::id())),
            script,
        )
    }

    fn start_at(path: PathBuf, script: Script) -> Self {
        let _absent = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let script = Arc::new(Mutex::new(script));
        let connections = Arc::new(AtomicU32::new(0));
        let (scripted, counted) = (script.clone(), connections.clone());
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let script = scripted.lock().unwrap().clone();
                open.spawn(answer(stream, script));
            }
        });
        Self {
            path,
            script,
            connections,
            task,
        }
    }

    fn now(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    fn watch(&self) -> mpsc::Receiver<Event> {
        watch(&self.path)
    }
}

fn watch(socket: &Path) -> mpsc::Receiver<Event> {
    let source = TargetSource::Container("gw".to_owned());
    let name = "gw".to_owned();
    let wanted = vec![Wanted { name, source }];
    Watch::spawn_with(wanted, Endpoint::Unix(socket.into()), MOUNT.into(), BOUNDS)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.task.abort();
        let _gone = std::fs::remove_file(&self.path);
    }
}

async fn answer(mut stream: UnixStream, script: Script) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let answer = match head.split(' ').nth(1).unwrap() {
        path if path.starts_with("/containers/json?all=true") => script.list,
        path if path == format!("/containers/{ID}/json") => script.inspect,
        path if path.starts_with("/events?since=") => script.events,
        path => panic!("asked for {path}"),
    };
    // The client may have gone: then there is nobody to tell.
    let _told = match answer {
        Answer::Says(status, body) => {
            let reply = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(reply.as_bytes()).await
        }
        Answer::Drops => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{")
                .await
        }
        Answer::Silent => return std::future::pending().await,
        Answer::Raw(raw) => stream.write_all(raw.as_bytes()).await,
        Answer::Endless(begin) => {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let begin = format!("{head}{:x}\r\n{begin}\r\n", begin.len());
            let mut told = stream.write_all(begin.as_bytes()).await;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while told.is_ok() {
                told = stream.write_all(chunk.as_bytes()).await;
            }
            told
        }
        Answer::Streams(events) => {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = if events.is_empty() {
                String::new()
            } else {
                format!("{:x}\r\n{events}\r\n", events.len())
            };
            let told = stream.write_all(format!("{head}{chunk}").as_bytes()).await;
            if told.is_ok() {
                let () = std::future::pending().await;
            }
            told
        }
    };
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    timeout(Duration::from_secs(10), events.recv())
        .await
        .expect("no event in 10 s")
        .expect("the watch ended")
}

/// That Docker is lost with these words, once, through many tries; and back when it talks sense.
async fn lost_once_and_back(script: Script, words: &str) {
    let daemon = Daemon::start(script);
    let mut events = daemon.watch();
    let mut said = Vec::new();
    while said.is_empty() || daemon.connections.load(Ordering::Relaxed) < 4 {
        if let Ok(event) = timeout(Duration::from_millis(20), events.recv()).await {
            said.push(event.expect("the watch ended"));
        }
    }
    let lost: Vec<&Event> = said
        .iter()
        .filter(|event| matches!(event, Event::DockerLost { .. }))
        .collect();
    let [Event::DockerLost { why }] = lost.as_slice() else {
        panic!("{words}: {said:?}")
    };
    assert!(why.contains(words), "{words}: {why}");
    assert!(why.len() < 500, "a line, not a page: {why}");
    assert!(
        !said
            .iter()
            .any(|event| matches!(event, Event::Gone { .. } | Event::DockerBack)),
        "{said:?}"
    );
    daemon.now(Script::sound());
    loop {
        match next(&mut events).await {
            Event::DockerBack => break,
            Event::Expected { .. } => {}
            other => panic!("{words}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn nonsense_is_said_once_and_tried_again() {
    let list = |list| Script {
        list,
        ..Script::sound()
    };
    let running = Answer::Says(200, self::list("gw").replace("exited", "running"));
    let inspect = |inspect| Script {
        list: running.clone(),
        inspect,
        ..Script::sound()
    };
    let events = |events| Script {
        events,
        ..Script::sound()
    };
    let says = |status, body: &str| Answer::Says(status, body.to_owned());
    tokio::join!(
        lost_once_and_back(list(says(200, "this is not JSON")), "line 1 column"),
        lost_once_and_back(
            list(says(200, r#"{"an":"object"}"#)),
            "Failed to deserialize"
        ),
        lost_once_and_back(
            list(says(500, r#"{"message":"out of cheese"}"#)),
            "500: out of cheese"
        ),
        lost_once_and_back(list(says(500, &"x\n".repeat(5000))), "500"),
        lost_once_and_back(list(says(302, "")), "302"),
        lost_once_and_back(list(Answer::Drops), "end of file before message length"),
        lost_once_and_back(
            list(Answer::Raw("SSH-2.0-OpenSSH_9.2\r\n\r\n")),
            "invalid HTTP version"
        ),
        lost_once_and_back(list(Answer::Raw("")), "before message completed"),
        lost_once_and_back(list(Answer::Endless("[{\"Id\":\"")), "more than 64 KiB"),
        lost_once_and_back(
            list(Answer::Silent),
            "did not answer with the list of containers within 1s"
        ),
        lost_once_and_back(
            inspect(Answer::Silent),
            "did not answer with a container's state"
        ),
        lost_once_and_back(
            inspect(says(200, r#"{"Id":"other"}"#)),
            "asked about container 51d4"
        ),
        lost_once_and_back(inspect(says(200, "null")), "deserialize"),
        lost_once_and_back(
            events(Answer::Endless("{\"Action\":\"")),
            "more than 32 KiB"
        ),
        lost_once_and_back(events(Answer::Silent), "Timeout"),
        lost_once_and_back(
            events(Answer::Raw("HTTP/1.1 200 OK\r\n\r\n")),
            "closed the stream of events"
        ),
        lost_once_and_back(events(Answer::Streams("{]}\n".to_owned())), "line 1 column"),
        lost_once_and_back(
            events(Answer::Streams("{\"Actor\":7}\n".to_owned())),
            "deserialize"
        ),
    );
}

#[tokio::test]
async fn events_about_nothing_are_passed_over() {
    let events = "{}\n{\"Action\":\"start\"}\n{\"Action\":\"start\",\"Actor\":{\"ID\":\"../../x\",\"Attributes\":{}}}\n\
                  {\"Action\":\"tea\",\"Actor\":{\"ID\":\"ID\",\"Attributes\":{}}}\n"
        .replace("\"ID\",", &format!("{ID:?},"));
    let daemon = Daemon::start(Script {
        events: Answer::Streams(events),
        ..Script::sound()
    });
    let mut said = daemon.watch();
    assert!(matches!(next(&mut said).await, Event::Expected { container, .. } if container == ID));
    // Two more readings of the list, and not a word.
    assert!(
        timeout(Duration::from_millis(1200), said.recv())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_absent_daemon_is_waited_for_and_its_loss_leaves_what_was_known() {
    let path = std::env::temp_dir().join(format!("guard-dockerd-{}-absent", std::process::id()));
    let mut said = watch(&path);
    let Event::DockerLost { why } = next(&mut said).await else {
        panic!("not lost")
    };
    assert!(
        why.contains("guard-dockerd-") && why.contains("No such file"),
        "{why}"
    );
    sleep(Duration::from_millis(200)).await;
    let daemon = Daemon::start_at(path.clone(), Script::sound());
    assert!(matches!(next(&mut said).await, Event::Expected { .. }));
    assert_eq!(next(&mut said).await, Event::DockerBack);
    drop(daemon);
    assert!(matches!(next(&mut said).await, Event::DockerLost { .. }));
    let daemon = Daemon::start_at(
        path,
        Script {
            list: Answer::Says(200, "[]".into()),
            ..Script::sound()
        },
    );
    let Event::Gone { why, .. } = next(&mut said).await else {
        panic!("still there")
    };
    assert!(why.contains("removed"), "{why}");
    assert!(matches!(next(&mut said).await, Event::Waiting { .. }));
    assert_eq!(next(&mut said).await, Event::DockerBack);
    drop(daemon);
}

/// `docker run` starts a container while Docker answers no question about it: what is expected is
/// known from the event alone.
#[tokio::test]
async fn a_created_container_is_expected_without_asking() {
    let event = format!(
        r#"{{"Type":"container","Action":"create","Actor":{{"ID":"{ID}","Attributes":{{"name":"gw","image":"i"}}}}}}"#
    ) + "\n";
    let daemon = Daemon::start(Script {
        list: Answer::Says(200, "[]".into()),
        inspect: Answer::Silent,
        events: Answer::Streams(event),
    });
    let mut said = daemon.watch();
    assert!(matches!(next(&mut said).await, Event::Waiting { .. }));
    assert!(matches!(next(&mut said).await, Event::Expected { container, .. } if container == ID));
}

/// Docker says that our own test process is the container's init.
#[tokio::test]
async fn a_pid_that_is_no_process_of_the_container_is_refused() {
    let pid = std::process::id();
    let daemon = Daemon::start(Script {
        list: Answer::Says(200, list("gw").replace("exited", "running")),
        inspect: Answer::Says(
            200,
            format!(r#"{{"Id":"{ID}","Name":"/gw","State":{{"Running":true,"Pid":{pid}}}}}"#),
        ),
        ..Script::sound()
    });
    let mut said = daemon.watch();
    let Event::Refused { why, .. } = next(&mut said).await else {
        panic!("not refused")
    };
    assert!(why.contains("cgroup"), "{why}");
}

#[tokio::test]
async fn who_is_not_heard_ends() {
    let daemon = Daemon::start(Script::sound());
    let said = daemon.watch();
    sleep(Duration::from_millis(100)).await;
    drop(said);
    sleep(Duration::from_millis(100)).await;
    let before = daemon.connections.load(Ordering::Relaxed);
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(
        daemon.connections.load(Ordering::Relaxed),
        before,
        "still asking"
    );
}
