//! One agent at a time: two would hold two gates with two counts before the same processes.

use crate::cli::{Code, Failure};
use anyhow::anyhow;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

const FOLDER: &str = "/run/metamcp-guard";
const LOCK: &str = "/run/metamcp-guard/lock";
/// Most that is read of who holds it.
const MOST: u64 = 4_096;

/// Held as long as this lives; the kernel lets go of it when the agent dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, for an agent that answers at `socket`.
    ///
    /// # Errors
    /// [`Code::Held`] with the pid of who holds it; or it cannot be made.
    pub fn take(socket: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            anyhow!(
                "cannot use {LOCK}, by which the agent keeps others out: {error}; make /run writable"
            )
        };
        fs::create_dir_all(FOLDER).map_err(failed)?;
        let mut options = File::options();
        let opened = options.read(true).write(true).create(true).truncate(false);
        let mut file = opened.open(LOCK).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is is a courtesy: the error stands without it.
                let _ = file.take(MOST).read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "another agent",
                    named => named,
                };
                let error = anyhow!(
                    "{holder} holds the gate already: one agent guards all targets of a host. Add \
                     targets to its configuration, or stop it first"
                );
                return Err(Failure::new(Code::Held, error));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error).into()),
        }
        let me = format!(
            "the agent with pid {} ({})",
            std::process::id(),
            socket.display()
        );
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(me.as_bytes()));
        written.map_err(failed)?;
        Ok(Self { _file: file })
    }
}
