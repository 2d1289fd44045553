//! Memory charged to a cgroup: by the v2 hierarchy where it has the memory controller, on a hybrid
//! host by v1's, in which a container has the same path.

use super::mounts;
use procfs::process::MountInfo;
use std::fs;
use std::path::{Path, PathBuf};

/// v1 writes "no limit" as the largest number of whole pages.
const V1_NO_LIMIT: u64 = 1 << 62;

/// Where memory is accounted on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    v2: PathBuf,
    v1: Option<PathBuf>,
}

/// A cgroup's memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Charged.
    pub bytes: u64,
    /// The limit; `None`: no limit of its own.
    pub limit: Option<u64>,
    /// Of it, pages of files that nobody used lately: the kernel gives them back by itself.
    pub reclaimable: u64,
}

impl Accounts {
    /// Of this host, whose v2 hierarchy is mounted at `v2_mount`.
    #[must_use]
    pub fn find(v2_mount: &Path) -> Self {
        let v1 = mounts::here().ok().and_then(|mounts| v1_memory(&mounts));
        let v2 = v2_mount.to_owned();
        Self { v2, v1 }
    }

    /// Memory of the cgroup `dir` in the v2 hierarchy; `None` where nothing accounts for it.
    #[must_use]
    pub fn read(&self, dir: &Path) -> Option<Memory> {
        if let Some(bytes) = number(&dir.join("memory.current")) {
            let limit = number(&dir.join("memory.max"));
            let reclaimable = inactive(&dir.join("memory.stat"), "inactive_file ");
            return Some(Memory {
                bytes,
                limit,
                reclaimable,
            });
        }
        let dir = self.v1.as_ref()?.join(dir.strip_prefix(&self.v2).ok()?);
        let bytes = number(&dir.join("memory.usage_in_bytes"))?;
        let limit = number(&dir.join("memory.limit_in_bytes"));
        let limit = limit.filter(|limit| *limit < V1_NO_LIMIT);
        let reclaimable = inactive(&dir.join("memory.stat"), "total_inactive_file ");
        Some(Memory {
            bytes,
            limit,
            reclaimable,
        })
    }
}

/// A file's number; `None` where it says `max`, or is not there.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number behind a word in a file of such lines; 0 where there is none.
fn inactive(file: &Path, word: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines();
    let number = lines.find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
    number.unwrap_or(0)
}

/// Where the whole of v1's memory hierarchy is mounted.
fn v1_memory(mounts: &[MountInfo]) -> Option<PathBuf> {
    let memory = mounts.iter().find(|mount| {
        mount.fs_type == "cgroup" && mount.root == "/" && mount.super_options.contains_key("memory")
    });
    memory.map(|mount| mount.mount_point.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A throw-away folder with files of a cgroup in it.
    fn check(files: &[(&str, &str)], expect: Option<Memory>) {
        let root = std::env::temp_dir().join(format!("guard-memory-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let accounts = Accounts {
            v2: root.join("unified"),
            v1: Some(root.join("memory")),
        };
        assert_eq!(
            accounts.read(&root.join("unified/docker/a")),
            expect,
            "{files:?}"
        );
        let _ = fs::remove_dir_all(&root);
    }

    #[test]
    fn v2_where_it_has_the_controller_else_v1_under_the_same_path() {
        let with = |bytes, limit, reclaimable| {
            Some(Memory {
                bytes,
                limit,
                reclaimable,
            })
        };
        let both = |bytes, limit| with(bytes, limit, 0);
        check(&[], None);
        check(
            &[
                ("unified/docker/a/memory.current", "4096\n"),
                ("unified/docker/a/memory.max", "8192\n"),
                ("memory/docker/a/memory.usage_in_bytes", "1\n"),
            ],
            both(4096, Some(8192)),
        );
        check(
            &[
                ("unified/docker/a/memory.current", "4096\n"),
                ("unified/docker/a/memory.max", "max\n"),
            ],
            both(4096, None),
        );
        check(
            &[
                ("memory/docker/a/memory.usage_in_bytes", "77\n"),
                (
                    "memory/docker/a/memory.limit_in_bytes",
                    "9223372036854771712\n",
                ),
            ],
            both(77, None),
        );
        check(
            &[
                ("unified/docker/a/memory.current", "4096\n"),
                (
                    "unified/docker/a/memory.stat",
                    "file 9\ninactive_file 1024\n",
                ),
            ],
            with(4096, None, 1024),
        );
        check(
            &[
                ("memory/docker/a/memory.usage_in_bytes", "77\n"),
                ("memory/docker/a/memory.limit_in_bytes", "100\n"),
            ],
            both(77, Some(100)),
        );
        check(&[("unified/docker/a/memory.current", "nonsense")], None);
    }

    #[test]
    fn the_v1_hierarchy_is_told_from_the_list_of_mounts() {
        let line = "35 31 0:33 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
        let mounts = [MountInfo::from_line(line).unwrap()];
        assert_eq!(
            v1_memory(&mounts),
            Some(PathBuf::from("/sys/fs/cgroup/memory"))
        );
        let pids = line.replace("rw,memory", "rw,pids");
        assert_eq!(v1_memory(&[MountInfo::from_line(&pids).unwrap()]), None);
    }
}
