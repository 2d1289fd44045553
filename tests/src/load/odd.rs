//! Births and execs that few programs make, and all of which the kernel knows.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use rustix::process::{getpid, getppid, set_child_subreaper, setsid};

use super::Tally;
use crate::raw::{self, Clone3, ring};

/// The words of a program that does nothing.
const NOTHING: [&CStr; 3] = [c"storm", c"nothing", c""];

/// `n` processes whose first thread ends before their second. Where `program` is given, the second
/// executes it then.
pub fn leader_first(tally: Tally, n: u64, program: Option<&File>) {
    for _ in 0..n {
        tally.tries();
        let child = raw::fork(|| {
            thread::scope(|scope| {
                let second = || {
                    until_alone();
                    if let Some(program) = program {
                        tally.error(&raw::execute(program.as_fd(), NOTHING));
                    }
                    raw::exit_thread()
                };
                let builder = thread::Builder::new();
                match builder.spawn_scoped(scope, second) {
                    Ok(_) => raw::exit_thread(),
                    Err(_) => 1,
                }
            })
        });
        if let Some(child) = tally.attempt(child) {
            tally.wait(child);
        }
    }
}

/// Waits until the first thread of this process is a zombie.
fn until_alone() {
    let first = format!("/proc/self/task/{}/stat", std::process::id());
    let until = Instant::now() + super::LONGEST;
    let is_there = || fs::read_to_string(&first).is_ok_and(|stat| !stat.contains(") Z "));
    while is_there() && Instant::now() < until {
        thread::yield_now();
    }
}

/// `n` forks by clone3, of which each makes a sibling of its own (`CLONE_PARENT`).
pub fn siblings(tally: Tally, n: u64) {
    let sibling = Clone3 {
        sibling: true,
        ..Clone3::default()
    };
    for _ in 0..n {
        tally.tries();
        let child = raw::clone3(&Clone3::default(), || {
            tally.tries();
            tally.attempt(raw::clone3(&sibling, || 0));
            0
        });
        tally.attempt(child);
        tally.wait_all();
    }
}

/// `n` daemons: a child in a session of its own forks another and ends; that one comes to this
/// process, which is a subreaper, and forks once more.
pub fn orphans(tally: Tally, n: u64) {
    let _ = set_child_subreaper(Some(getpid()));
    for _ in 0..n {
        let made = |body: &dyn Fn() -> i32| {
            tally.tries();
            tally.attempt(raw::fork(body))
        };
        made(&|| {
            let _ = setsid();
            let parent = getpid();
            let orphan = made(&|| {
                // Its parent is another one once its own is gone.
                let until = Instant::now() + super::LONGEST;
                while getppid() == Some(parent) && Instant::now() < until {
                    thread::yield_now();
                }
                let own = made(&|| 0);
                own.map_or(1, |own| {
                    tally.wait(own);
                    0
                })
            });
            i32::from(orphan.is_none())
        });
        tally.wait_all();
    }
}

/// `n` processes that execute the program of a descriptor (`execveat` without a path).
pub fn by_descriptor(tally: Tally, n: u64, program: &File) {
    for _ in 0..n {
        tally.tries();
        let child = raw::fork(|| tally.no_exec(&raw::execute(program.as_fd(), NOTHING)));
        if let Some(child) = tally.attempt(child) {
            tally.wait(child);
        }
    }
}

/// `n` processes one after the other, all with the pid of the first. Every second one executes a
/// program.
///
/// # Errors
/// The pid is another's again and again, or the kernel lets none be chosen.
pub fn same_pid(tally: Tally, n: u64, program: &File) -> io::Result<()> {
    let mut how = Clone3::default();
    let mut taken = 0;
    for round in 0..n {
        let body = || match round % 2 {
            0 => 0,
            _ => tally.no_exec(&raw::execute(program.as_fd(), NOTHING)),
        };
        let child = loop {
            match raw::clone3(&how, body) {
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) && taken < 50 => {
                    // Somebody else of this machine has got it meanwhile.
                    taken += 1;
                    how.pid = None;
                }
                made => break made?,
            }
        };
        tally.tries();
        how.pid = tally.attempt(Ok(child));
        tally.wait(child);
    }
    Ok(())
}

/// `n` times: makes the cgroup, has a process born in it that forks two more, removes it.
///
/// # Errors
/// The kernel's.
pub fn reborn(tally: Tally, n: u64, cgroup: &Path) -> io::Result<()> {
    for _ in 0..n {
        fs::create_dir(cgroup)?;
        let folder = File::open(cgroup)?;
        tally.tries();
        let child = raw::fork_into(folder.as_fd(), || {
            for _ in 0..2 {
                tally.tries();
                tally.attempt(raw::fork(|| 0));
            }
            tally.wait_all();
            0
        });
        if let Some(child) = tally.attempt(child) {
            tally.wait(child);
        }
        drop(folder);
        removed(cgroup)?;
    }
    Ok(())
}

/// A cgroup is busy for a moment after its last process was waited for.
fn removed(cgroup: &Path) -> io::Result<()> {
    let until = Instant::now() + super::LONGEST;
    loop {
        match fs::remove_dir(cgroup) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {}
            other => return other,
        }
        if Instant::now() > until {
            return Err(Errno::BUSY.into());
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// One process in each of the cgroups below `folder`, that forks `each` more, which end.
///
/// # Errors
/// One cannot be opened.
pub fn tour(tally: Tally, each: u64, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let cgroup = File::open(&path)?;
        tally.tries();
        let child = raw::fork_into(cgroup.as_fd(), || {
            for _ in 0..each {
                tally.tries();
                tally.attempt(raw::fork(|| 0));
            }
            tally.wait_all();
            0
        });
        if let Some(child) = tally.attempt(child) {
            tally.wait(child);
        }
    }
    Ok(())
}

/// Threads that io_uring makes: one that polls a queue, and `n` workers that wait. `ready` is
/// told of all tasks once they are there; they go with this process.
///
/// # Errors
/// The kernel's, which may have no io_uring.
pub fn rings(n: u32, hold: Duration, ready: impl FnOnce(usize)) -> io::Result<()> {
    let fifo = std::env::temp_dir().join(format!("guard-test-fifo-{}", std::process::id()));
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let _polled = ring::polled()?;
    let opens = CString::new(fifo.as_os_str().as_bytes()).map_err(io::Error::other);
    let opens = opens.and_then(|fifo| ring::opens(n, fifo));
    let tasks = || fs::read_dir("/proc/self/task").map(Iterator::count);
    // This thread, the one that polls, and the workers.
    let all = 2 + usize::try_from(n).unwrap_or(usize::MAX);
    let until = Instant::now() + super::LONGEST;
    while opens.is_ok() && tasks()? < all && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    fs::remove_file(&fifo)?;
    let _opens = opens?;
    ready(tasks()?);
    thread::sleep(hold);
    Ok(())
}
