//! Questions and answers, as they go over a group's descriptor.
//!
//! They are plain bytes and are read and written as such. nix's `read_events` allocates, panics where
//! a descriptor is gone, and reads many events at once: where the kernel can open no descriptor for
//! the second of two, it denies that exec and returns the first one as if nothing had been
//! (fanotify_read in fs/notify/fanotify/fanotify_user.c). One at a time, every error is seen.

use std::io;
use std::os::fd::{AsFd, RawFd};

use bytemuck::{Pod, Zeroable};
use nix::sys::fanotify::{FANOTIFY_METADATA_VERSION, MaskFlags, Response};
use rustix::io::Errno;

/// What an exec is told. A denied one fails before anything of the program has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes on.
    Allow,
    /// It fails with EAGAIN: "try again later". 6.12 cannot say that, 6.16 can.
    Eagain,
    /// It fails with EPERM: what any kernel says.
    Eperm,
}

impl Answer {
    fn response(self) -> u32 {
        let deny = Response::FAN_DENY.bits();
        match self {
            Self::Allow => Response::FAN_ALLOW.bits(),
            Self::Eperm => deny,
            // FAN_DENY_ERRNO of linux/fanotify.h.
            Self::Eagain => deny | (Errno::AGAIN.raw_os_error().unsigned_abs() << 24),
        }
    }
}

/// `struct fanotify_event_metadata`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Metadata {
    length: u32,
    version: u8,
    reserved: u8,
    metadata_length: u16,
    mask: u64,
    fd: i32,
    pid: i32,
}

/// `struct fanotify_response`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Reply {
    fd: i32,
    response: u32,
}

/// Somebody waits at an exec. Dropped, its descriptor is closed.
#[derive(Debug)]
pub struct Event {
    /// The process (thread group) that executes; 0 where it is not of our pid namespace.
    pub pid: i32,
    fd: RawFd,
}

impl Event {
    /// Answers; the other side goes on at once.
    ///
    /// # Errors
    /// `EINVAL`: this kernel cannot say that. That who asked was killed meanwhile is none: the
    /// kernel keeps the question until it is answered (6.18).
    pub fn answer(&self, group: impl AsFd, answer: Answer) -> io::Result<()> {
        say(group, self.fd, answer)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // The kernel made it for this event, and nobody else knows its number.
        let _ = nix::unistd::close(self.fd);
    }
}

/// What was read.
#[derive(Debug)]
pub enum Read {
    /// Somebody waits.
    Asked(Event),
    /// Nobody waits.
    Nothing,
    /// More were waiting than the queue holds, and the kernel let them go on.
    Overflow,
}

/// Reads who waits, without waiting.
///
/// # Errors
/// The kernel's. Where it could open no descriptor (`EMFILE`, `ENFILE`, `ENOMEM`) it has already
/// denied that exec with EPERM.
pub fn read(group: impl AsFd) -> io::Result<Read> {
    let mut bytes = [0u8; size_of::<Metadata>()];
    match rustix::io::read(group, &mut bytes) {
        Ok(n) if n == bytes.len() => {}
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => return Ok(Read::Nothing),
        Err(error) => return Err(error.into()),
    }
    let event: Metadata = bytemuck::pod_read_unaligned(&bytes);
    if event.version != FANOTIFY_METADATA_VERSION {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // The bit is the kernel's word; without a descriptor there is nothing to answer.
    if event.mask & MaskFlags::FAN_Q_OVERFLOW.bits() != 0 || event.fd < 0 {
        return Ok(Read::Overflow);
    }
    let (pid, fd) = (event.pid, event.fd);
    Ok(Read::Asked(Event { pid, fd }))
}

/// Answers the question that came with descriptor `fd`.
///
/// # Errors
/// `ENOENT`: there is none. `EINVAL`: this kernel cannot say that; this is looked at first.
pub fn say(group: impl AsFd, fd: RawFd, answer: Answer) -> io::Result<()> {
    let response = answer.response();
    rustix::io::write(group, bytemuck::bytes_of(&Reply { fd, response }))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Short ones too: the kernel writes whole ones, and nothing is believed of others.
        #[test]
        fn any_bytes_are_an_event_or_none(mut bytes in prop::collection::vec(any::<u8>(), 0..30), good: bool) {
            if good && bytes.len() >= 8 {
                bytes[4] = FANOTIFY_METADATA_VERSION;
            }
            // No descriptor of ours is closed: there is none, or none with such a number.
            if let Some(high) = bytes.get_mut(19) {
                *high |= 0x70;
            }
            let (reader, mut writer) = io::pipe().unwrap();
            io::Write::write_all(&mut writer, &bytes).unwrap();
            drop(writer);
            match read(&reader) {
                Ok(Read::Asked(_)) => prop_assert!(good && bytes.len() >= 24),
                Ok(Read::Nothing) => prop_assert!(bytes.len() < 24),
                Ok(Read::Overflow) | Err(_) => prop_assert!(bytes.len() >= 24),
            }
        }
    }

    #[test]
    fn what_the_kernel_reads_and_writes() {
        let asked = |mask: u64, fd: i32| Metadata {
            length: 24,
            version: FANOTIFY_METADATA_VERSION,
            reserved: 0,
            metadata_length: 24,
            mask,
            fd,
            pid: 77,
        };
        let check = |metadata: Metadata, expected: &str| {
            let (reader, mut writer) = io::pipe().unwrap();
            io::Write::write_all(&mut writer, bytemuck::bytes_of(&metadata)).unwrap();
            let said = match read(&reader) {
                Ok(Read::Asked(event)) => {
                    let said = format!("pid {}", event.pid);
                    // Nothing of ours has this number.
                    std::mem::forget(event);
                    said
                }
                other => format!("{other:?}"),
            };
            assert_eq!(said, expected);
        };
        check(asked(0x40000, 9_999), "pid 77");
        check(asked(0x4000, -1), "Ok(Overflow)");
        check(asked(0x40000, -1), "Ok(Overflow)");
        let mut other = asked(0x40000, 9_999);
        other.version += 1;
        check(other, "Err(Kind(Unsupported))");

        assert_eq!(Answer::Allow.response(), 1);
        assert_eq!(Answer::Eperm.response(), 2);
        assert_eq!(Answer::Eagain.response(), 2 | 11 << 24);
    }
}
