//! Threads, and the ends of processes that only threads can have.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use super::Tally;
use crate::raw;

/// A thread of ours needs next to nothing; the smallest stack that glibc allows and std keeps.
const STACK: usize = 32 * 1024;

/// `n` threads alive at once, for `stay` after the last was made.
pub fn threads(tally: Tally, n: u64, stay: Duration) {
    let all_here = Arc::new(AtomicU64::new(0));
    let mut made = Vec::new();
    for _ in 0..n {
        tally.tries();
        let here = Arc::clone(&all_here);
        let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
            while here.load(SeqCst) == 0 {
                thread::park();
            }
        });
        made.extend(tally.attempt(thread));
    }
    thread::sleep(stay);
    all_here.store(1, SeqCst);
    for thread in made {
        thread.thread().unpark();
        let _ = thread.join();
    }
}

/// `n` threads one after the other, each waited for.
pub fn churn(tally: Tally, n: u64) {
    for _ in 0..n {
        tally.tries();
        if let Some(thread) = tally.attempt(thread::Builder::new().stack_size(STACK).spawn(|| {})) {
            let _ = thread.join();
        }
    }
}

/// `n` processes whose last two threads end together, on two CPUs where there are two.
pub fn twin_exits(tally: Tally, n: u64) {
    for _ in 0..n {
        tally.tries();
        let child = raw::fork(|| {
            let together = Arc::new(Barrier::new(2));
            let ready = Arc::new(AtomicU64::new(0));
            let (twin, other) = (Arc::clone(&together), Arc::clone(&ready));
            let spawned = thread::Builder::new().stack_size(STACK).spawn(move || {
                twin.wait();
                meet(&other);
                raw::exit_thread()
            });
            if spawned.is_err() {
                return 1;
            }
            together.wait();
            meet(&ready);
            raw::exit_thread()
        });
        if let Some(child) = tally.attempt(child) {
            tally.wait(child);
        }
    }
}

/// Both leave it within nanoseconds of each other: a barrier wakes one, this lets both spin. The
/// spin is bounded, for a machine where they share one CPU.
fn meet(ready: &AtomicU64) {
    ready.fetch_add(1, SeqCst);
    for _ in 0..100_000 {
        if ready.load(SeqCst) == 2 {
            break;
        }
        std::hint::spin_loop();
    }
}

/// `n` processes in which a thread that is not the first executes a program: the kernel ends the
/// others and gives the thread the process's pid.
///
/// # Errors
/// This program cannot be found.
pub fn thread_execs(tally: Tally, n: u64) -> io::Result<()> {
    let me = std::env::current_exe()?;
    for _ in 0..n {
        tally.tries();
        let me = me.clone();
        let child = raw::fork(move || {
            let thread = thread::spawn(move || Command::new(me).arg("nothing").exec());
            let failed = thread.join();
            failed.map_or(1, |error| {
                tally.error(&error);
                126
            })
        });
        if let Some(child) = tally.attempt(child) {
            tally.wait(child);
        }
    }
    Ok(())
}
