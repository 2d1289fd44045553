//! A Docker daemon whose answers are scripted, at the other end of a Unix socket.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// The one container it knows.
pub const ID: &str = "51d4157d2ba2914185d411be32014bbdeb2ddab0f25962fe872724ab0599a46d";

/// How the scripted daemon answers one kind of question.
#[derive(Clone, Debug)]
pub enum Answer {
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

/// How it answers all of them.
#[derive(Clone, Debug)]
pub struct Script {
    pub list: Answer,
    pub inspect: Answer,
    pub events: Answer,
}

impl Script {
    /// A daemon with one container, which does not run.
    pub fn sound() -> Self {
        Self {
            list: Answer::Says(200, list("gw")),
            inspect: Answer::Says(200, format!(r#"{{"Id":"{ID}","Name":"/gw"}}"#)),
            events: Answer::Streams(String::new()),
        }
    }
}

/// A list of one container, which does not run.
pub fn list(name: &str) -> String {
    format!(r#"[{{"Id":"{ID}","Names":["/{name}"],"State":"exited","Labels":{{}}}}]"#)
}

/// Answers until dropped.
pub struct Daemon {
    pub path: PathBuf,
    script: Arc<Mutex<Script>>,
    connections: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

impl Daemon {
    /// One at a path of its own. Needs a tokio runtime.
    pub fn start(script: Script) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::start_at(
            std::env::temp_dir().join(format!("guard-dockerd-{}-{n}", std::process::id())),
            script,
        )
    }

    /// One at `path`, whatever was there.
    pub fn start_at(path: PathBuf, script: Script) -> Self {
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

    /// Answers so from now on.
    pub fn now(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// How many connections it has taken.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
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
