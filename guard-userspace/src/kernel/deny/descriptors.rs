//! A table of descriptors for one thread.
//!
//! Each question brings a descriptor. Where the process has none left, the kernel denies the exec
//! by itself with EPERM, whoever it was (seen on 6.18). So the thread that answers leaves the
//! process's table: what HTTP clients, Docker or a leak use up there it does not feel.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use nix::sched::{CloneFlags, unshare};

/// Standard input, output and error stay, so that none of a question's takes their place.
const STANDARD: RawFd = 3;

/// Gives the calling thread a table of its own, in which all is closed but `keep` and the standard
/// ones. What is opened elsewhere from now on is not in it, and nothing that is closed here is
/// closed elsewhere.
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
    close_all(
        numbers
            .into_iter()
            .filter(|fd| *fd >= STANDARD && !keep.contains(fd)),
    );
    Ok(())
}

/// Closes descriptors of a table that the calling thread has for itself.
pub fn close_all(numbers: impl IntoIterator<Item = RawFd>) {
    for fd in numbers {
        // The one of the listing itself is closed already.
        let _ = nix::unistd::close(fd);
    }
}
