//! What outlives the agent: its maps, programs and links, pinned below /sys/fs/bpf.
//!
//! A link that is pinned stays attached until its file is removed, whoever lives. So the folder is the
//! gate: while it is there, forks are counted and refused, and without it nothing is left.

use rustix::fs::statfs;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the kernel keeps names of BPF objects.
const BPFFS: &str = "/sys/fs/bpf";

/// `BPF_FS_MAGIC` (include/uapi/linux/magic.h).
const MAGIC: i64 = 0xcafe_4a11;

/// What every guard's folder is called.
const FOLDER: &str = "metamcp-guard";

/// An earlier version's, until the new one has taken its place. No dot: bpffs has none in names.
const EARLIER: &str = "metamcp-guard-earlier";

const LINK: &str = "link_";
const PROGRAM: &str = "prog_";

/// Why nothing can be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// It is not mounted and cannot be.
    #[error(
        "no bpf filesystem is mounted at {BPFFS}, and it cannot be: {0}; mount it: \
         mount -t bpf bpf {BPFFS}"
    )]
    Unmounted(io::Error),
    /// The folder cannot be made, read or moved.
    #[error("cannot use {}: {source}; see what is there and move it away", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel pins it not.
    #[error("cannot pin {name}: {why}")]
    Pin {
        /// What.
        name: String,
        /// Why.
        why: String,
    },
}

/// A folder of pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    dir: PathBuf,
}

impl Pins {
    /// The guard's, made if missing; mounts the bpf filesystem where nobody has yet.
    ///
    /// # Errors
    /// There is no place for it.
    pub fn open() -> Result<Self, PinError> {
        let is_there = || statfs(BPFFS).is_ok_and(|found| found.f_type == MAGIC);
        if !is_there() {
            mount("bpf", BPFFS, "bpf", MountFlags::empty(), None)
                .map_err(|errno| PinError::Unmounted(errno.into()))?;
        }
        let dir = Path::new(BPFFS).join(FOLDER);
        match fs::create_dir(&dir) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists || !dir.is_dir() => {
                Err(PinError::Folder { path: dir, source })
            }
            _ => Ok(Self { dir }),
        }
    }

    /// Those that are there, of any agent. What is to be removed alone.
    #[must_use]
    pub fn left() -> Vec<Self> {
        let all = [FOLDER, EARLIER].map(|name| Path::new(BPFFS).join(name));
        let there = all.into_iter().filter(|dir| dir.is_dir());
        there.map(|dir| Self { dir }).collect()
    }

    /// Those of an earlier version that has not been replaced yet.
    #[must_use]
    pub fn earlier() -> Option<Self> {
        let dir = Path::new(BPFFS).join(EARLIER);
        dir.is_dir().then_some(Self { dir })
    }

    /// Moves all of it aside, so that another version can take its place; it stays at work.
    ///
    /// # Errors
    /// The filesystem's.
    pub fn set_aside(&self) -> Result<Self, PinError> {
        let dir = Path::new(BPFFS).join(EARLIER);
        let aside = Self { dir };
        aside.remove()?;
        fs::rename(&self.dir, &aside.dir)
            .and_then(|()| fs::create_dir(&self.dir))
            .map_err(|source| aside.failed(source))?;
        Ok(aside)
    }

    /// Where a map is.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where a link is.
    #[must_use]
    pub fn link(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{LINK}{name}"))
    }

    /// Where a program is.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{PROGRAM}{name}"))
    }

    /// Whether nothing is pinned here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        fs::read_dir(&self.dir).map_or(true, |mut entries| entries.next().is_none())
    }

    /// Removes all of it: what refuses first, then what counts, then what was counted. What is not there
    /// is no error.
    ///
    /// # Errors
    /// The filesystem's; what could be removed is.
    pub fn remove(&self) -> Result<(), PinError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(self.failed(source)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_by_key(|name| turn(name));
        let mut first = Ok(());
        for name in names {
            let path = self.dir.join(name);
            // Nothing of ours is a folder, and one that somebody made must not keep the gate.
            let is_folder = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
            let removed = gone(if is_folder {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            });
            first = first.and(removed);
        }
        let removed = first.and(gone(fs::remove_dir(&self.dir)));
        removed.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> PinError {
        PinError::Folder {
            path: self.dir.clone(),
            source,
        }
    }
}

/// When a file is removed: the gate that takes before what gives back, links before the rest.
fn turn(name: &str) -> u8 {
    match name.strip_prefix(LINK) {
        Some(link) if link.ends_with("task_alloc") || link.starts_with("modify") => 0,
        Some(_) => 1,
        None => 2,
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_is_removed_before_what_gives_back() {
        let mut names = [
            "COUNTERS",
            "link_after_task_free",
            "link_sched_process_exit",
            "prog_task_alloc",
            "link_modify_task_alloc_0",
            "link_task_alloc",
        ];
        names.sort_by_key(|name| turn(name));
        assert_eq!(names[..2], ["link_modify_task_alloc_0", "link_task_alloc"]);
        assert!(names[4..].contains(&"COUNTERS") && names[4..].contains(&"prog_task_alloc"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_removed_already() {
        let dir = PathBuf::from("/sys/fs/bpf/no-such-folder");
        assert!(Pins { dir }.remove().is_ok());
    }
}
