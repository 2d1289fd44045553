//! Forks that execute nothing.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::Tally;
use crate::raw;

/// `n` forks that end at once, each waited for before the next; `parallel` threads share them.
pub fn forks(tally: Tally, n: u64, parallel: u64) {
    let parallel = parallel.clamp(1, 64);
    let share = |worker: u64| n / parallel + u64::from(worker < n % parallel);
    let work = move |times: u64| {
        for _ in 0..times {
            tally.tries();
            if let Some(child) = tally.attempt(raw::fork(|| 0)) {
                tally.wait(child);
            }
        }
    };
    if parallel == 1 {
        return work(n);
    }
    thread::scope(|scope| {
        for worker in 0..parallel {
            scope.spawn(move || work(share(worker)));
        }
    });
}

/// `n` forks that take all CPU time that they get for `hold`.
pub fn spinners(tally: Tally, n: u64, hold: Duration) {
    for _ in 0..n {
        tally.tries();
        let until = Instant::now() + hold;
        tally.attempt(raw::fork(|| {
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            0
        }));
    }
    tally.wait_all();
}

/// `n` forks that stay for `hold`; `ready` is called when all are there.
pub fn sleepers(tally: Tally, n: u64, hold: Duration, ready: impl FnOnce(&[i32])) {
    let mut pids = Vec::new();
    for _ in 0..n {
        tally.tries();
        let sleeper = raw::fork(|| {
            tally.executed(1);
            thread::sleep(hold);
            0
        });
        pids.extend(tally.attempt(sleeper).map(|pid| pid.as_raw_pid()));
    }
    ready(&pids);
    tally.wait_all();
}

/// `n` children born in another cgroup by `CLONE_INTO_CGROUP`, that stay for `hold`.
///
/// # Errors
/// The cgroup cannot be opened.
pub fn into(tally: Tally, n: u64, hold: Duration, cgroup: &Path) -> io::Result<()> {
    let folder = File::open(cgroup)?;
    for _ in 0..n {
        tally.tries();
        tally.attempt(raw::fork_into(folder.as_fd(), || {
            thread::sleep(hold);
            0
        }));
    }
    tally.wait_all();
    Ok(())
}
