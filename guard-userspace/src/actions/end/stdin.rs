//! A process's standard input, taken from outside and brought to its end.

use crate::evidence::process;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, RecvFlags, Shutdown, SocketType, recv, shutdown};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Most that is read of what is queued: a socket's buffer is far smaller.
const MOST_READS: usize = 4_096;

/// Bytes of one read.
const READ: usize = 64 << 10;

/// Where yama says who may look into processes.
const PTRACE_SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// A UNIX socket that is somebody's standard input.
#[derive(Debug)]
pub struct Stdin {
    /// The inode of this end: each end of a pair has its own.
    pub inode: u64,
    fd: OwnedFd,
}

impl Stdin {
    /// That of the process behind a pidfd.
    ///
    /// # Errors
    /// It has none, it is no UNIX stream socket, or it may not be taken.
    pub fn of(process: &OwnedFd) -> Result<Self, String> {
        let fd = pidfd_getfd(process, 0, PidfdGetfdFlags::empty());
        let fd = fd.map_err(|error| not_taken(error, ptrace_scope()))?;
        let seen = fstat(&fd).map_err(|error| format!("its standard input: {error}"))?;
        let kind = FileType::from_raw_mode(seen.st_mode);
        if kind != FileType::Socket {
            let what = match kind {
                FileType::Fifo => "a pipe",
                FileType::CharacterDevice => "a device (/dev/null, a terminal)",
                FileType::RegularFile => "a file",
                _ => "no socket",
            };
            return Err(format!(
                "its standard input is {what}, which nobody but its writer can bring to its end \
                 (ENOTSOCK); use kill"
            ));
        }
        let unix = socket_domain(&fd) == Ok(AddressFamily::UNIX);
        if !unix || socket_type(&fd) != Ok(SocketType::STREAM) {
            return Err("its standard input is no UNIX stream socket; use kill".to_owned());
        }
        let inode = seen.st_ino;
        Ok(Self { inode, fd })
    }

    /// Brings it to its end: nothing more can be written to it, and what is queued is read away. Else
    /// a queued request would be answered, and the gateway would wait for ever for the next one to
    /// be taken.
    ///
    /// # Errors
    /// The kernel's.
    pub fn end(&self) -> Result<(), Errno> {
        shutdown(&self.fd, Shutdown::Read)?;
        drain(&self.fd);
        Ok(())
    }
}

/// Reads what is queued. The descriptor's flags are the server's too, so it is not made
/// non-blocking: each read is.
fn drain(fd: impl AsFd) {
    let mut buffer = vec![0_u8; READ];
    for _ in 0..MOST_READS {
        match recv(&fd, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((_, 0)) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn ptrace_scope() -> Option<u32> {
    let text = std::fs::read_to_string(PTRACE_SCOPE).ok()?;
    text.trim().parse().ok()
}

fn not_taken(error: Errno, ptrace_scope: Option<u32>) -> String {
    match (error, ptrace_scope) {
        (Errno::BADF, _) => "it has no standard input; use kill".to_owned(),
        (Errno::SRCH, _) => "its root has ended meanwhile".to_owned(),
        (Errno::PERM, Some(3)) => format!(
            "its standard input may not be taken: {PTRACE_SCOPE} is 3, which forbids that even to \
             root until the next boot; use kill"
        ),
        (Errno::PERM, _) => {
            "its standard input may not be taken (EPERM): a security module or the \
             sandbox that the agent runs in forbids it; use kill"
                .to_owned()
        }
        (error, _) => format!("its standard input cannot be taken ({error}); use kill"),
    }
}

/// Who else holds sockets of these inodes, by inode: all processes of the host but this one. Not
/// atomic.
pub fn holders(inodes: &BTreeSet<u64>) -> BTreeMap<u64, Vec<u32>> {
    let mut found: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    if inodes.is_empty() {
        return found;
    }
    // Our own copies are not of interest.
    for pid in process::all_pids().filter(|pid| *pid != std::process::id()) {
        for inode in sockets(pid).intersection(inodes) {
            found.entry(*inode).or_default().push(pid);
        }
    }
    found
}

/// The inodes of the sockets that a process holds.
fn sockets(pid: u32) -> BTreeSet<u64> {
    let folder = Path::new("/proc").join(pid.to_string()).join("fd");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter_map(|link| inode(link.to_str()?)).collect()
}

/// `socket:[123]`
fn inode(link: &str) -> Option<u64> {
    let number = link.strip_prefix("socket:[")?.strip_suffix(']')?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_queued_is_read_away_and_nothing_more_can_be_written() {
        let (mut gateway, server) = UnixStream::pair().unwrap();
        gateway.write_all(&vec![7; 100_000]).unwrap();
        let stdin = Stdin {
            inode: fstat(&server).unwrap().st_ino,
            fd: server.try_clone().unwrap().into(),
        };
        stdin.end().unwrap();
        let mut buffer = [0; 8];
        let read = std::io::Read::read(&mut &server, &mut buffer).unwrap();
        assert_eq!(read, 0, "end of file, without the bytes that were queued");
        assert!(gateway.write_all(b"more").is_err());
    }

    #[test]
    fn each_end_of_a_pair_has_its_own_inode() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (fstat(&one).unwrap().st_ino, fstat(&other).unwrap().st_ino);
        assert_ne!(one, other);
        let mine = sockets(std::process::id());
        assert!(mine.contains(&one) && mine.contains(&other), "{mine:?}");
        assert_eq!(holders(&BTreeSet::from([one, other])), BTreeMap::new());
    }

    #[test]
    fn why_it_cannot_be_taken_is_said() {
        let check = |error, scope, word: &str| {
            let words = not_taken(error, scope);
            assert!(words.contains(word), "{words}");
        };
        check(Errno::PERM, Some(3), "ptrace_scope is 3");
        check(Errno::PERM, Some(1), "security module");
        check(Errno::PERM, None, "security module");
        check(Errno::BADF, Some(3), "no standard input");
        assert_eq!(inode("socket:[42]"), Some(42));
        assert_eq!(inode("pipe:[42]"), None);
    }
}
