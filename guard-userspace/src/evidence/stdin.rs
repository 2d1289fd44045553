//! Who can still write to a process's standard input.

use crate::model::evidence::Writer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::net::AddressFamily;
use rustix::net::sockopt::socket_domain;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use std::os::fd::{AsFd, OwnedFd};

/// That of the process behind a pidfd. What cannot be looked at is [`Writer::Unknown`].
#[must_use]
pub fn writer(process: &OwnedFd) -> Writer {
    // Taken, it is held for the moment of this look: its writer sees no end of file in between.
    match pidfd_getfd(process, 0, PidfdGetfdFlags::empty()) {
        Ok(stdin) => of(stdin),
        Err(_) => Writer::Unknown,
    }
}

/// Of a pipe POLLHUP says that the last writer has closed it. Of a UNIX socket it says that the other
/// end is gone, and POLLRDHUP that it has shut its writing down (net/unix/af_unix.c, unix_poll; 6.12,
/// 6.18).
fn of(stdin: impl AsFd) -> Writer {
    let Ok(seen) = fstat(&stdin) else {
        return Writer::Unknown;
    };
    match FileType::from_raw_mode(seen.st_mode) {
        FileType::Fifo => {}
        FileType::Socket if socket_domain(&stdin) == Ok(AddressFamily::UNIX) => {}
        _ => return Writer::Unknown,
    }
    let mut polled = [PollFd::new(&stdin, PollFlags::RDHUP)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut polled, Some(&at_once)) {
        Ok(_) => {}
        Err(_) => return Writer::Unknown,
    }
    let [polled] = polled;
    let gone = PollFlags::HUP | PollFlags::RDHUP;
    if polled.revents().intersects(gone) {
        Writer::Gone
    } else {
        Writer::There
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{Shutdown, shutdown};
    use rustix::process::{PidfdFlags, getpid, pidfd_open};
    use std::fs::File;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    #[test]
    fn a_writer_is_gone_when_the_other_end_is_closed() {
        let (gateway, server) = UnixStream::pair().unwrap();
        assert_eq!(of(&server), Writer::There);
        shutdown(&gateway, Shutdown::Write).unwrap();
        assert_eq!(of(&server), Writer::Gone, "it has ended its writing");
        drop(gateway);
        assert_eq!(of(&server), Writer::Gone);

        let (read, write) = std::io::pipe().unwrap();
        assert_eq!(of(&read), Writer::There);
        let another = write.try_clone().unwrap();
        drop(write);
        assert_eq!(of(&read), Writer::There, "one of two");
        drop(another);
        // Not at once: another test's child holds a copy between its fork and its exec.
        let until = Instant::now() + Duration::from_secs(20);
        while of(&read) != Writer::Gone {
            assert!(Instant::now() < until, "its last writer is gone for 20 s");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn of_what_is_neither_pipe_nor_socket_nothing_is_known() {
        assert_eq!(of(File::open("/dev/null").unwrap()), Writer::Unknown);
        assert_eq!(of(File::open("/proc/self/stat").unwrap()), Writer::Unknown);
        let tcp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(of(&tcp), Writer::Unknown);
        // A process that has none, or that may not be looked into, is no error.
        let me = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let _ = writer(&me);
    }
}
