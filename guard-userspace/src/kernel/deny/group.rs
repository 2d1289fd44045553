//! A fanotify group that is asked before a program is executed, and what it is asked about.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::fcntl::AT_FDCWD;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};

use super::question::{self, Answer};

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

    /// Whether the kernel would take that answer: it looks at the answer before it looks for who
    /// asked, and nobody asked with this number.
    #[must_use]
    pub fn takes(&self, answer: Answer) -> bool {
        let nobody = self.0.as_raw_fd();
        question::say(self, nobody, answer)
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
