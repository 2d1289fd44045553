//! A gateway with its servers: each is a tree of three processes, as npx makes them, whose standard
//! input is a socket that the gateway writes to.

use std::io::{self, Read, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::{WaitOptions, wait};

use super::LONGEST;
use super::exec::tree_member;
use crate::raw;

/// Which trees it makes, by a word each.
pub const KINDS: &str = "socket pipe shared deaf stubborn hydra";

/// What keeps a server's standard input open.
enum Writer {
    Socket { _ours: UnixStream },
    Pipe { _ours: io::PipeWriter },
    Shared { _both: (UnixStream, OwnedFd) },
}

/// The gateway: waits for a line, makes a tree for each word, says their roots' pids, and from then
/// on how each ended. It stays a bounded time.
///
/// # Errors
/// A spawn or a word that is none.
pub fn keep(words: &[String]) -> io::Result<i32> {
    thread::spawn(|| {
        thread::sleep(LONGEST);
        std::process::exit(0);
    });
    io::stdin().read_line(&mut String::new())?;
    let mut roots = Vec::new();
    let mut writers = Vec::new();
    for word in words {
        let (stdin, writer) = stdin(word)?;
        let program = match word.as_str() {
            "deaf" | "stubborn" | "hydra" => word,
            _ => "server",
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(format!("{program}-root"));
        command.stdin(stdin).stdout(Stdio::null());
        roots.push(command.spawn()?.id());
        writers.push(writer);
    }
    println!("{{\"ready\":{roots:?}}}");
    let begun = Instant::now();
    while let Ok(ended) = wait(WaitOptions::empty()) {
        let Some((pid, status)) = ended else { continue };
        let word = |value: Option<i32>| value.map_or("null".to_owned(), |n| n.to_string());
        println!(
            "{{\"pid\":{pid},\"code\":{},\"signal\":{}}}",
            word(status.exit_status()),
            word(status.terminating_signal())
        );
    }
    // No child is left; the gateway is.
    thread::sleep(LONGEST.saturating_sub(begun.elapsed()));
    drop(writers);
    Ok(0)
}

fn stdin(word: &str) -> io::Result<(Stdio, Writer)> {
    if word == "pipe" {
        let (theirs, ours) = pipe()?;
        return Ok((theirs.into(), Writer::Pipe { _ours: ours }));
    }
    if !KINDS.split(' ').any(|kind| kind == word) {
        let words = format!("no tree is called {word:?}; there are: {KINDS}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    }
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = OwnedFd::from(theirs);
    if word == "shared" {
        let stdin = theirs.try_clone()?.into();
        let both = (ours, theirs);
        return Ok((stdin, Writer::Shared { _both: both }));
    }
    Ok((theirs.into(), Writer::Socket { _ours: ours }))
}

/// The programs of the trees. `None`: it is none of them.
#[must_use]
pub fn program(name: &str) -> Option<i32> {
    Some(match name {
        "server-root" => tree_member("server-shell"),
        "server-shell" => tree_member("serve"),
        "serve" => serve(),
        "deaf-root" => tree_member("deaf-shell"),
        "deaf-shell" => tree_member("deaf"),
        "deaf" => {
            thread::sleep(LONGEST);
            0
        }
        // What is ignored is so in all that it starts.
        "stubborn-root" => {
            raw::ignore_term();
            tree_member("deaf-shell")
        }
        "hydra-root" => {
            raw::ignore_term();
            let begun = Instant::now();
            while begun.elapsed() < LONGEST {
                let _ = tree_member("deaf");
            }
            0
        }
        _ => return None,
    })
}

/// A server: it answers nothing, and ends well when its standard input does.
fn serve() -> i32 {
    let mut buffer = [0; 4_096];
    loop {
        match io::stdin().read(&mut buffer) {
            Ok(0) => return 0,
            Ok(_) => {}
            Err(_) => return 1,
        }
    }
}
