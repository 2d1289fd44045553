//! How this host mounts cgroups.
//!
//! The guard follows the v2 hierarchy alone. On a hybrid host that is one mount among those of v1
//! (`/sys/fs/cgroup/unified` with systemd); a container's processes are in it as in all others.

use super::mounts;
use procfs::process::MountInfo;
use std::path::{Path, PathBuf};

/// How cgroups are mounted, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// v2 alone.
    Unified {
        /// Where.
        mount: PathBuf,
    },
    /// v1 for the controllers, v2 beside it.
    Hybrid {
        /// Where v2 is.
        mount: PathBuf,
    },
    /// v1 alone: the guard cannot work.
    V1Only,
    /// None at all.
    Unmounted,
}

impl Layout {
    /// Where v2 is mounted.
    #[must_use]
    pub fn v2_mount(&self) -> Option<&Path> {
        match self {
            Self::Unified { mount } | Self::Hybrid { mount } => Some(mount),
            Self::V1Only | Self::Unmounted => None,
        }
    }
}

/// Why there is no v2 hierarchy to follow.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// /proc/self/mountinfo cannot be read.
    #[error("cannot read the list of mounts: {0}; is /proc mounted?")]
    Mounts(#[from] std::io::Error),
    /// v1 alone.
    #[error(
        "cgroup v2 is not mounted, only v1; mount it beside v1: \
         mkdir -p /run/cgroup2 && mount -t cgroup2 none /run/cgroup2"
    )]
    V1Only,
    /// None at all.
    #[error("no cgroups are mounted; mount them: mount -t cgroup2 none /sys/fs/cgroup")]
    Unmounted,
}

/// Reads how cgroups are mounted.
///
/// # Errors
/// The list of mounts cannot be read.
pub fn layout() -> Result<Layout, CgroupError> {
    Ok(layout_of(&mounts::here()?))
}

/// Where the v2 hierarchy is mounted: `/sys/fs/cgroup`, on a hybrid host
/// `/sys/fs/cgroup/unified` or the like.
///
/// # Errors
/// It is not mounted, or the list of mounts cannot be read.
pub fn cgroup_v2_mount() -> Result<PathBuf, CgroupError> {
    match layout()? {
        Layout::Unified { mount } | Layout::Hybrid { mount } => Ok(mount),
        Layout::V1Only => Err(CgroupError::V1Only),
        Layout::Unmounted => Err(CgroupError::Unmounted),
    }
}

/// The layout that a list of mounts shows.
fn layout_of(mounts: &[MountInfo]) -> Layout {
    let v1 = mounts.iter().any(|mount| mount.fs_type == "cgroup");
    match v2_of(mounts) {
        Some(mount) if v1 => Layout::Hybrid { mount },
        Some(mount) => Layout::Unified { mount },
        None if v1 => Layout::V1Only,
        None => Layout::Unmounted,
    }
}

/// The mount of the whole v2 hierarchy. Of several, one below /sys: others may be a tool's own and
/// go away again. Bind mounts of a part of it (containers have such) do not count.
fn v2_of(mounts: &[MountInfo]) -> Option<PathBuf> {
    let whole = |mount: &&MountInfo| mount.fs_type == "cgroup2" && mount.root == "/";
    let mut whole = mounts.iter().filter(whole).map(|mount| &mount.mount_point);
    let first = whole.clone().next();
    whole
        .find(|point| point.starts_with("/sys"))
        .or(first)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "38 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids";
    const HYBRID: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
    const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
    const PART: &str = "60 23 0:26 /docker/1a2b /var/lib/x rw - cgroup2 cgroup2 rw";
    const OWN: &str = "29 23 0:26 / /run/cgroup2 rw - cgroup2 none rw";

    #[test]
    fn each_layout_is_told_from_the_list_of_mounts() {
        let check = |lines: &[&str], expected: Layout| {
            let mounts: Vec<_> = lines
                .iter()
                .map(|l| MountInfo::from_line(l).unwrap())
                .collect();
            assert_eq!(layout_of(&mounts), expected);
        };
        let at = PathBuf::from;
        check(
            &[UNIFIED],
            Layout::Unified {
                mount: at("/sys/fs/cgroup"),
            },
        );
        check(
            &[OWN, UNIFIED],
            Layout::Unified {
                mount: at("/sys/fs/cgroup"),
            },
        );
        check(
            &[V1, HYBRID],
            Layout::Hybrid {
                mount: at("/sys/fs/cgroup/unified"),
            },
        );
        check(
            &[V1, OWN],
            Layout::Hybrid {
                mount: at("/run/cgroup2"),
            },
        );
        check(&[V1, PART], Layout::V1Only);
        check(&[], Layout::Unmounted);
    }

    /// This machine has a v2 hierarchy: what is found must be one.
    #[test]
    fn the_mount_found_here_is_a_cgroup_directory() {
        let mount = cgroup_v2_mount().unwrap();
        assert!(mount.join("cgroup.procs").exists(), "{}", mount.display());
    }
}
