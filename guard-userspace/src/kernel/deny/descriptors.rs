//! A table of descriptors beside the process's, for the threads that mark and answer.
//!
//! Two things depend on it:
//!
//! - Each question brings a descriptor. Where none is left, the kernel denies the exec by itself with
//!   EPERM, whoever it was (seen on 6.18). What HTTP clients, Docker or a leak use up in the process's
//!   table is not felt here.
//! - The kernel lets go on who waits when the group is closed everywhere. A child that the agent
//!   forks has copies of the agent's descriptors until its own exec; were the group among them and
//!   that exec asked about, then after the agent's death the child would wait for an answer from a
//!   group that it holds open itself, and all others with it.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use nix::sched::{CloneFlags, unshare};

/// Standard input, output and error stay, so that none of a question's takes their place.
const STANDARD: RawFd = 3;

/// Gives the calling thread, and those that it starts, a table in which all is closed but `keep` and
/// the standard ones. What is opened elsewhere from now on is not in it, and nothing that is closed
/// here is closed elsewhere.
///
/// # Errors
/// The kernel's (then the thread still shares the process's table), or /proc is not mounted.
pub fn leave_the_process(keep: &[RawFd]) -> io::Result<()> {
    let own = "/proc/thread-self/fd";
    // Looked at before, so that a failure leaves all as it was.
    fs::metadata(own)?;
    unshare(CloneFlags::CLONE_FILES)?;
    let listed = fs::read_dir(own)?;
    let numbers: Vec<RawFd> = listed
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for fd in numbers {
        if fd >= STANDARD && !keep.contains(&fd) {
            // The one of the listing itself is closed already.
            let _ = nix::unistd::close(fd);
        }
    }
    Ok(())
}
