//! What a process sees: its mount namespace from its own root, and how to name a mount in it without
//! being led elsewhere.
//!
//! Everything is reached from one descriptor of /proc/PID, which stays that process's when its pid is
//! given to another. A container may replace the folders on the way to a mount by links: the way is
//! walked inside its root and follows none, and the id of what is found must be the listed one.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat, openat2, statx,
};
use rustix::io::Errno;

use super::mountinfo::{self, Mount};

/// Longest list of mounts that is read: a thousand times a container's. The kernel's own limit
/// (fs.mount-max) is 100,000 mounts.
const LIST_MAX: u64 = 16 << 20;

/// A name for what a process sees; processes with the same one see the same mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    /// The mount namespace's inode number.
    pub namespace: u64,
    /// Device and inode of the root: after chroot a process is listed other mounts.
    root: (u32, u32, u64),
}

/// A process, held by its folder in /proc.
#[derive(Debug)]
pub struct Seer(OwnedFd);

impl Seer {
    /// The process that has this pid now.
    ///
    /// # Errors
    /// None has.
    pub fn of(pid: u32) -> io::Result<Self> {
        Self::open(&format!("/proc/{pid}"))
    }

    /// This process.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn this() -> io::Result<Self> {
        Self::open("/proc/self")
    }

    fn open(path: &str) -> io::Result<Self> {
        let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, how, Mode::empty())?))
    }

    /// What it sees.
    ///
    /// # Errors
    /// It has ended.
    pub fn view(&self) -> io::Result<View> {
        let root = stat(&self.0, "root", AtFlags::empty())?;
        Ok(View {
            namespace: self.namespace()?,
            root: (root.stx_dev_major, root.stx_dev_minor, root.stx_ino),
        })
    }

    /// Its mount namespace.
    ///
    /// # Errors
    /// It has ended.
    pub fn namespace(&self) -> io::Result<u64> {
        Ok(stat(&self.0, "ns/mnt", AtFlags::empty())?.stx_ino)
    }

    /// The mounts that it sees.
    ///
    /// # Errors
    /// It has ended.
    pub fn mounts(&self) -> io::Result<Vec<Mount>> {
        let how = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.0, "mountinfo", how, Mode::empty())?;
        let mut list = Vec::new();
        std::fs::File::from(file)
            .take(LIST_MAX)
            .read_to_end(&mut list)?;
        Ok(mountinfo::parse(&list))
    }

    /// Its root, from which its mounts are reached.
    ///
    /// # Errors
    /// It has ended.
    pub fn root(&self) -> io::Result<Root> {
        let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Root(openat(&self.0, "root", how, Mode::empty())?))
    }
}

/// The root of a process. It holds the mount, as long as it is open.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// That mount, and no other that hides it or came there since it was listed. The descriptor is
    /// only a name; while it is open the mount is busy.
    ///
    /// # Errors
    /// `NotFound`: it is hidden or gone. Others are the kernel's.
    pub fn mount(&self, mount: &Mount) -> io::Result<OwnedFd> {
        let how = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let inside =
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        let found = openat2(&self.0, &mount.point, how, Mode::empty(), inside)?;
        let status = stat(&found, "", AtFlags::EMPTY_PATH)?;
        let named = StatxFlags::from_bits_retain(status.stx_mask).contains(StatxFlags::MNT_ID);
        if named && status.stx_mnt_id == mount.id {
            return Ok(found);
        }
        Err(Errno::NOENT.into())
    }
}

fn stat(at: impl AsFd, path: impl AsRef<Path>, how: AtFlags) -> io::Result<Statx> {
    let what = StatxFlags::INO | StatxFlags::MNT_ID;
    // A server that does not answer must not be asked.
    let how = how | AtFlags::STATX_DONT_SYNC;
    Ok(statx(at, path.as_ref(), how, what)?)
}
