//! What this kernel can be told, found out by asking it.
//!
//! That a group is made and a mark is taken proves little, so an exec of our own is denied: of an
//! empty file in memory, marked by itself. No mount is marked, nobody else can be asked, and no
//! program begins whatever the outcome: an empty file is none (ENOEXEC).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;

use super::Refusal;
use super::group::{Group, Place};
use super::question::{self, Answer, Read};

/// Longest that our own exec may wait.
const LONGEST: Duration = Duration::from_secs(1);

/// What the mode lacks here.
#[derive(Debug, thiserror::Error)]
pub enum Lack {
    /// Not root.
    #[error("fanotify is not permitted: run as root, or with CAP_SYS_ADMIN")]
    NotPermitted,
    /// The kernel has no fanotify.
    #[error("the kernel has no fanotify: it needs CONFIG_FANOTIFY")]
    NoFanotify,
    /// The kernel notifies and does not ask.
    #[error(
        "the kernel asks nobody before it executes: it needs Linux 5.0 and \
         CONFIG_FANOTIFY_ACCESS_PERMISSIONS"
    )]
    NoQuestions,
    /// Too many groups, or no descriptors.
    #[error(
        "there are too many fanotify groups (sysctl fs.fanotify.max_user_groups) or too few file \
         descriptors (LimitNOFILE=)"
    )]
    TooMany,
    /// Marked, and not asked, or the answer changed nothing.
    #[error("the kernel took the mark and did not deny the exec: {0}")]
    NotDenied(io::Error),
    /// Anything else.
    #[error("fanotify cannot be tried: {0}")]
    Other(#[from] io::Error),
}

/// What a denied exec says on this kernel.
///
/// # Errors
/// None can be denied, and why.
pub fn probe() -> Result<Refusal, Lack> {
    let group =
        Group::new().map_err(
            |error| match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::PERM) => Lack::NotPermitted,
                Some(Errno::NOSYS) => Lack::NoFanotify,
                Some(Errno::INVAL) => Lack::NoQuestions,
                Some(Errno::MFILE | Errno::NFILE) => Lack::TooMany,
                _ => Lack::Other(error),
            },
        )?;
    let refusal = if group.takes(Answer::Eagain) {
        Refusal::Eagain
    } else {
        Refusal::Eperm
    };
    let program = empty_program()?;
    group.mark(Place::File, program.as_fd()).map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidInput {
            Lack::NoQuestions
        } else {
            Lack::Other(error)
        }
    })?;
    let said = execute(&program, group, refusal.answer());
    match said.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::AGAIN) if refusal == Refusal::Eagain => Ok(Refusal::Eagain),
        Some(Errno::PERM) if refusal == Refusal::Eperm => Ok(Refusal::Eperm),
        _ => Err(Lack::NotDenied(said)),
    }
}

/// A file that could be executed, were there anything in it.
fn empty_program() -> io::Result<File> {
    let name = "guard-probe";
    // Asked for by name, as `vm.memfd_noexec=1` turns execution off where it is not; before 6.3
    // there is no such flag, and no need for it.
    let made = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::EXEC)
        .or_else(|_| memfd_create(name, MemfdFlags::CLOEXEC))?;
    Ok(made.into())
}

/// Executes it while somebody answers; gives the error that the exec ended with.
fn execute(program: &File, group: Group, answer: Answer) -> io::Error {
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    thread::scope(|scope| {
        // When it ends it closes the group: then the exec goes on, answered or not.
        let answering = scope.spawn(move || answer_once(&group, answer));
        let said = match command.spawn() {
            Ok(mut child) => {
                let _ = child.wait();
                io::Error::other("the exec of an empty file succeeded")
            }
            Err(error) => error,
        };
        match answering.join() {
            Ok(Ok(())) => said,
            Ok(Err(error)) => error,
            Err(_) => io::Error::other("the answering thread panicked"),
        }
    })
}

fn answer_once(group: &Group, answer: Answer) -> io::Result<()> {
    let until = Instant::now() + LONGEST;
    loop {
        match question::read(group)? {
            Read::Asked(event) => return event.answer(group, answer),
            Read::Overflow | Read::Nothing if Instant::now() > until => {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            Read::Overflow | Read::Nothing => {
                let mut asked = [PollFd::new(group, PollFlags::IN)];
                let pause = Timespec::try_from(Duration::from_millis(50)).ok();
                let _ = poll(&mut asked, pause.as_ref());
            }
        }
    }
}
