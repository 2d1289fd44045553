//! Following what a running program prints, with a deadline.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long a line may still come after the program's end, from what it left behind.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Reads lines on a thread of its own, so that waiting for one can end at a deadline. A carriage
/// return at a line's end is dropped.
pub fn follow(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line)
                .trim_end_matches('\r')
                .to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Runs the command, hands over each line of its standard output (its errors go to our terminal),
/// and ends it at the deadline: `None`.
pub fn stream(
    command: &mut Command,
    timeout: Duration,
    each: &mut dyn FnMut(&str),
) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + timeout;
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let lines = follow(child.stdout.take().context("no standard output")?);
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => return wait(&mut child, deadline),
            Err(RecvTimeoutError::Timeout) => {}
        }
        // Waiting for the end of the output alone would wait for daemons that a test left.
        match ended {
            Some((status, since)) if since.elapsed() > AFTERMATH => return Ok(Some(status)),
            Some(_) => {}
            None if Instant::now() > deadline => return end(&mut child).map(|()| None),
            None => ended = child.try_wait()?.map(|status| (status, Instant::now())),
        }
    }
}

fn wait(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    end(child).map(|()| None)
}

/// Asks the program to end, so that it can clear up, and insists after 10 s.
fn end(child: &mut Child) -> Result<()> {
    let pid = rustix::process::Pid::from_child(child);
    // Not waited for yet, so the pid is still its.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let patience = Instant::now() + Duration::from_secs(10);
    while Instant::now() < patience {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().context("cannot end it")?;
    child.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: Duration) -> (Vec<String>, Option<ExitStatus>) {
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let status = stream(&mut command, timeout, &mut |line| {
            seen.push(line.to_owned())
        });
        (seen, status.unwrap())
    }

    #[test]
    fn lines_come_in_order_and_the_status_after_them() {
        let (seen, status) = sh("echo a; echo b; exit 3", Duration::from_secs(20));
        assert_eq!(seen, ["a", "b"]);
        assert_eq!(status.unwrap().code(), Some(3));
    }

    #[test]
    fn a_program_past_its_deadline_is_ended() {
        let started = Instant::now();
        let (seen, status) = sh("echo a; exec sleep 60", Duration::from_millis(300));
        assert_eq!(seen, ["a"]);
        assert!(status.is_none());
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn what_a_program_leaves_behind_is_not_waited_for() {
        let started = Instant::now();
        let (_, status) = sh("sleep 8 & exit 0", Duration::from_secs(60));
        assert!(status.unwrap().success());
        assert!(started.elapsed() < Duration::from_secs(7));
    }
}
