//! Ends that take long: the kernel tells of them first, and is then busy for some time with what the
//! process had open.

use std::io;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::Tally;
use crate::raw;

/// What one of them has open. The kernel waits for a grace period for each that it closes: 0.2 s for
/// all (6.18). A user has 128 of them.
const OPEN: u64 = 30;

/// `n` processes one after the other, that do nothing but end.
pub fn slow(tally: Tally, n: u64) {
    for _ in 0..n {
        tally.tries();
        let child = raw::fork(|| {
            let open: io::Result<Vec<_>> = (0..OPEN).map(|_| watch()).collect();
            // Closed by the kernel, not by us.
            std::mem::forget(open);
            0
        });
        if let Some(child) = tally.attempt(child) {
            tally.wait(child);
        }
    }
}

fn watch() -> io::Result<rustix::fd::OwnedFd> {
    let watch = inotify::init(CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, "/", WatchFlags::CREATE)?;
    Ok(watch)
}
