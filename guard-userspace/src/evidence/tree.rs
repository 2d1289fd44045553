//! Cgroups and what is nested in them, as directories.

use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Most directories that a walk looks at: as many as the kernel side can tag.
const MOST: usize = guard_common::abi::MAX_CGROUPS as usize;

/// A cgroup's id: the inode number of its directory in the v2 hierarchy.
///
/// # Errors
/// It is not there.
pub fn id(dir: &Path) -> io::Result<u64> {
    fs::metadata(dir).map(|meta| meta.ino())
}

/// Pids of the processes in a cgroup, not counting what is nested. Not atomic.
///
/// # Errors
/// It is gone.
pub fn pids(dir: &Path) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(dir.join("cgroup.procs"))?;
    // 0 stands for a process of another pid namespace, which a host has not.
    let all = text.lines().filter_map(|line| line.parse().ok());
    Ok(all.filter(|pid| *pid != 0).collect())
}

/// Pids of the processes in a cgroup and in what is nested in it. Not atomic; of one that is gone:
/// none.
#[must_use]
pub fn all_pids(dir: &Path) -> Vec<u32> {
    let mut open = vec![dir.to_owned()];
    let mut all = Vec::new();
    for _ in 0..MOST {
        let Some(dir) = open.pop() else { break };
        all.extend(pids(&dir).unwrap_or_default());
        open.extend(children(&dir).into_iter().map(|(_, path)| path));
    }
    all
}

/// The cgroups directly inside of one, with their ids. Of one that is gone: none.
#[must_use]
pub fn children(dir: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| (entry.ino(), entry.path())).collect()
}

/// The directory of the cgroup `id` below `top`, if it is there.
#[must_use]
pub fn find(top: &Path, id: u64) -> Option<PathBuf> {
    let mut open = vec![top.to_owned()];
    for _ in 0..MOST {
        for (found, path) in children(&open.pop()?) {
            if found == id {
                return Some(path);
            }
            open.push(path);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::cgroup::cgroup_v2_mount;

    #[test]
    fn a_cgroup_is_found_by_its_id() {
        let mount = cgroup_v2_mount().unwrap();
        let Some((inode, path)) = children(&mount).into_iter().next() else {
            return assert_eq!(find(&mount, 1 << 60), None);
        };
        assert_eq!(id(&path).unwrap(), inode);
        assert_eq!(find(&mount, inode), Some(path));
        assert_eq!(find(&mount, 1 << 60), None);
        assert!(pids(Path::new("/no/such/cgroup")).is_err());
    }
}
