//! Whether the Docker daemon answers.

use std::env;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What Docker's own tools use without DOCKER_HOST.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// A daemon that answers does so in milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// The Docker daemon, as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docker {
    /// Where it was looked for, as DOCKER_HOST says it.
    pub host: String,
    /// What came of it.
    pub answer: Answer,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answers.
    Here,
    /// It does not.
    Silent {
        /// Why.
        why: String,
    },
    /// Not a Unix socket: not asked.
    NotAsked,
}

/// Asks the daemon that DOCKER_HOST names, else the usual one.
pub(super) fn look() -> Docker {
    let host = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    ask(host.unwrap_or_else(|| DEFAULT_HOST.to_owned()))
}

fn ask(host: String) -> Docker {
    let answer = match host.strip_prefix("unix://") {
        None => Answer::NotAsked,
        Some(path) => match ping(path) {
            Ok(()) => Answer::Here,
            Err(error) => Answer::Silent {
                why: error.to_string(),
            },
        },
    };
    Docker { host, answer }
}

fn ping(path: &str) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if status.starts_with(b"HTTP/1.") && status.ends_with(b"200") {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&status).into_owned();
    Err(std::io::Error::other(format!("it answered {said:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A daemon that gives each answer in turn, on a socket of its own.
    fn daemon(answer: &'static [u8]) -> (Answer, std::path::PathBuf) {
        let name = format!("guard-doctor-{}-{}", std::process::id(), answer.len());
        let path = env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 16];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(answer).unwrap();
        });
        let docker = ask(format!("unix://{}", path.display()));
        thread.join().unwrap();
        std::fs::remove_file(&path).unwrap();
        (docker.answer, path)
    }

    #[test]
    fn only_a_daemon_that_says_200_is_here() {
        assert_eq!(daemon(b"HTTP/1.1 200 OK\r\n\r\nOK").0, Answer::Here);
        assert!(matches!(
            daemon(b"HTTP/1.1 500 No\r\n\r\n").0,
            Answer::Silent { .. }
        ));
        assert!(matches!(daemon(b"SSH-2.0").0, Answer::Silent { .. }));
        let gone = ask("unix:///nowhere/docker.sock".to_owned());
        assert!(matches!(gone.answer, Answer::Silent { why } if why.contains("No such file")));
        assert_eq!(
            ask("tcp://10.0.0.1:2376".to_owned()).answer,
            Answer::NotAsked
        );
    }
}
