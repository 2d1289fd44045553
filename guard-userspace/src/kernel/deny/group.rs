//! A fanotify group that is asked before a program is executed: what is marked, what is read from
//! it, what is answered.
//!
//! nix makes the group and sets the marks. Events and answers are plain bytes and are read and
//! written as such: nix's `read_events` allocates, panics where a descriptor is gone, and reads
//! many events at once. Where the kernel cannot open a descriptor for the second of two, it denies
//! that one without a word (`fanotify_read`, seen on 6.18); one at a time, every error is seen.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use bytemuck::{Pod, Zeroable};
use nix::fcntl::AT_FDCWD;
use nix::sys::fanotify::{
    EventFFlags, FANOTIFY_METADATA_VERSION, Fanotify, InitFlags, MarkFlags, MaskFlags, Response,
};
use rustix::io::Errno;

/// What is asked, about which the answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// All files seen through the mount that a file lies on.
    Mount,
    /// That file alone.
    File,
}

impl Place {
    const fn flag(self) -> MarkFlags {
        match self {
            Self::Mount => MarkFlags::FAN_MARK_MOUNT,
            Self::File => MarkFlags::FAN_MARK_INODE,
        }
    }
}

/// What an exec is told. A denied one fails before anything of the program has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes on.
    Allow,
    /// It fails with EAGAIN: "try again later". 6.12 cannot say that, 6.18 can.
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

/// A fanotify group. Closed (by whoever has it last), its marks are gone and who waits goes on.
#[derive(Debug)]
pub struct Group(Fanotify);

impl Group {
    /// A new one, which marks nothing yet. Of the first class, since only that may choose an errno.
    ///
    /// Its queue has no limit: each entry is a process that waits, and the default limit (16,384)
    /// lets go on unasked who comes after it.
    ///
    /// # Errors
    /// The kernel's: `EPERM` without CAP_SYS_ADMIN, `ENOSYS`, `EMFILE` past 128 groups of a user.
    pub fn new() -> io::Result<Self> {
        let flags = InitFlags::FAN_CLASS_PRE_CONTENT
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE
            | InitFlags::FAN_UNLIMITED_MARKS;
        let events = EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC | EventFFlags::O_LARGEFILE;
        Ok(Self(Fanotify::init(flags, events)?))
    }

    /// From now on it is asked about `place`.
    ///
    /// # Errors
    /// The kernel's: `EINVAL` where a filesystem may not be asked about (proc), or the kernel is
    /// built without permission events.
    pub fn mark(&self, place: Place, file: BorrowedFd<'_>) -> io::Result<()> {
        self.change(MarkFlags::FAN_MARK_ADD, place, file)
    }

    /// It is asked no more about `place`.
    ///
    /// # Errors
    /// The kernel's: `ENOENT` where it was not marked.
    pub fn unmark(&self, place: Place, file: BorrowedFd<'_>) -> io::Result<()> {
        self.change(MarkFlags::FAN_MARK_REMOVE, place, file)
    }

    fn change(&self, how: MarkFlags, place: Place, file: BorrowedFd<'_>) -> io::Result<()> {
        // A descriptor that is only a name (O_PATH) can be marked by its path alone. The thread's
        // own folder: a thread may have a table of descriptors for itself.
        let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
        let mask = MaskFlags::FAN_OPEN_EXEC_PERM;
        let how = how | place.flag();
        Ok(self.0.mark(how, mask, AT_FDCWD, Some(path.as_str()))?)
    }

    /// It is asked about no place of that kind any more. Who waits still waits for an answer.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unmark_all(&self, place: Place) -> io::Result<()> {
        let how = MarkFlags::FAN_MARK_FLUSH | place.flag();
        Ok(self
            .0
            .mark(how, MaskFlags::empty(), AT_FDCWD, None::<&str>)?)
    }

    /// Reads who waits, without waiting.
    ///
    /// # Errors
    /// The kernel's. Where it could open no descriptor (`EMFILE`, `ENFILE`, `ENOMEM`) it has
    /// already denied that exec with EPERM.
    pub fn read(&self) -> io::Result<Read> {
        let mut bytes = [0u8; size_of::<Metadata>()];
        match rustix::io::read(&self.0, &mut bytes) {
            Ok(n) if n == bytes.len() => {}
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => return Ok(Read::Nothing),
            Err(error) => return Err(error.into()),
        }
        let event: Metadata = bytemuck::pod_read_unaligned(&bytes);
        if event.version != FANOTIFY_METADATA_VERSION {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        // The bit is the kernel's word; the missing descriptor is what must not be answered.
        if event.mask & MaskFlags::FAN_Q_OVERFLOW.bits() != 0 || event.fd < 0 {
            return Ok(Read::Overflow);
        }
        let (pid, fd) = (event.pid, event.fd);
        Ok(Read::Asked(Event { pid, fd }))
    }

    /// Answers; the other side goes on at once.
    ///
    /// # Errors
    /// `EINVAL`: this kernel cannot say that. That who asked was killed meanwhile is none: the
    /// kernel keeps the question until it is answered (6.18).
    pub fn answer(&self, event: &Event, answer: Answer) -> io::Result<()> {
        self.say(event.fd, answer)
    }

    /// Whether the kernel would take that answer: it looks at the answer before it looks for who
    /// asked, and nobody asked with this number.
    #[must_use]
    pub fn takes(&self, answer: Answer) -> bool {
        let said = self.say(self.0.as_raw_fd(), answer);
        said.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    fn say(&self, fd: RawFd, answer: Answer) -> io::Result<()> {
        let response = answer.response();
        rustix::io::write(&self.0, bytemuck::bytes_of(&Reply { fd, response }))?;
        Ok(())
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
