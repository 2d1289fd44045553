//! From a process or a path to a cgroup's directory in the v2 hierarchy.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Hexadecimal digits of a container's id.
const ID_LEN: usize = guard_common::abi::CONTAINER_ID_LEN;

/// Directories below /sys/fs/cgroup that are hierarchies of their own where v1 is in use.
const V1_HIERARCHIES: [&str; 15] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
    "systemd",
];

/// Why a container or a path gives no cgroup to guard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The process has ended.
    #[error("the process has ended")]
    Ended,
    /// It cannot be guarded: why, and what to do.
    #[error("{0}")]
    Refused(String),
}

/// The cgroup directory of `container`, of which `pid` is a process.
///
/// # Errors
/// The process has ended, is not in a cgroup of that container, or is in the root cgroup.
pub fn container_cgroup(
    pid: u32,
    container: &str,
    v2_mount: &Path,
) -> Result<PathBuf, ResolveError> {
    let path = v2_path_of(pid)?;
    Ok(v2_mount.join(container_path(&path, pid, container)?))
}

/// When a process started, in nanoseconds of CLOCK_BOOTTIME, to the clock tick. 0: not known.
#[must_use]
pub fn started_boot_ns(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks = start_ticks(&stat).unwrap_or(0);
    ticks.saturating_mul(1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// Field 22; the name in field 2 may hold blanks and parentheses.
fn start_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

fn v2_path_of(pid: u32) -> Result<String, ResolveError> {
    let text =
        fs::read_to_string(format!("/proc/{pid}/cgroup")).map_err(|_| ResolveError::Ended)?;
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("/");
    // What is dead and not yet reaped is shown in a cgroup that is dead as well.
    if path.ends_with(" (deleted)") {
        Err(ResolveError::Ended)
    } else {
        Ok(path.to_owned())
    }
}

/// The part of a process's v2 path, relative to the mount, that ends at the container's own
/// cgroup. A container may nest cgroups and move its init into one.
fn container_path(path: &str, pid: u32, container: &str) -> Result<PathBuf, ResolveError> {
    let refuse = |why: String| Err(ResolveError::Refused(why));
    if path.contains("/..") {
        return refuse(format!(
            "the cgroup of the container's process {pid} is {path}, outside of what the guard's own cgroup \
             namespace shows: run the guard in the host's (docker run --cgroupns=host)"
        ));
    }
    let mut found = PathBuf::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        found.push(part);
        if part.contains(container) {
            return Ok(found);
        }
    }
    if found.as_os_str().is_empty() {
        return refuse(format!(
            "the container's process {pid} is in the root cgroup of the v2 hierarchy, with every process of \
             the host: its runtime must give it a cgroup there (runc does since 1.0; where the v2 hierarchy was \
             mounted later, start the container again)"
        ));
    }
    let short: String = container.chars().take(12).collect();
    refuse(format!(
        "process {pid}, which Docker names as the init of container {short}, is in cgroup {path}, which is not \
         that container's: does DOCKER_HOST lead to another machine, or does the guard run in a pid namespace of \
         its own (docker run --pid=host)?"
    ))
}

/// Whether a configured path can name a cgroup of the v2 hierarchy. It need not exist.
///
/// # Errors
/// It cannot: the error says which path to give instead.
pub fn check_path(path: &Path, mount: &Path) -> Result<(), ResolveError> {
    let refuse = |why: String| {
        Err(ResolveError::Refused(format!(
            "cgroup {}: {why}",
            path.display()
        )))
    };
    if path
        .components()
        .any(|part| matches!(part, Component::ParentDir))
    {
        return refuse("the path must not hold `..`".to_owned());
    }
    if let Ok(below) = path.strip_prefix(mount) {
        return match below.components().next() {
            Some(_) => Ok(()),
            None => refuse(
                "this is the root cgroup, with every process of the host: name one below it"
                    .to_owned(),
            ),
        };
    }
    let below = below_any_mount(path);
    refuse(format!(
        "the guard counts by the v2 hierarchy, which is mounted at {}: give {}",
        mount.display(),
        mount.join(below).display()
    ))
}

/// What a v1 or relative path most likely means below the v2 mount.
fn below_any_mount(path: &Path) -> PathBuf {
    let below = path.strip_prefix("/sys/fs/cgroup").unwrap_or(path);
    let mut parts = below
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .peekable();
    parts.next_if(|part| {
        let name = part.as_os_str().to_string_lossy();
        name.split(',')
            .all(|controller| V1_HIERARCHIES.contains(&controller))
    });
    parts.collect()
}

/// Whether this is a container's whole id.
#[must_use]
pub fn is_container_id(id: &str) -> bool {
    id.len() == ID_LEN && is_hex(id)
}

/// Whether all of it is lower-case hexadecimal digits.
#[must_use]
pub fn is_hex(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "51d4157d2ba2914185d411be32014bbdeb2ddab0f25962fe872724ab0599a46d";

    #[test]
    fn a_containers_cgroup_under_each_driver() {
        let check = |path: String, expect: Option<String>| {
            let found = container_path(&path, 7, ID);
            assert_eq!(found.ok(), expect.map(PathBuf::from), "{path}");
        };
        check(format!("/docker/{ID}"), Some(format!("docker/{ID}")));
        check(
            format!("/system.slice/docker-{ID}.scope"),
            Some(format!("system.slice/docker-{ID}.scope")),
        );
        check(format!("/tenant/a/{ID}"), Some(format!("tenant/a/{ID}")));
        // systemd within the container has moved its init down.
        check(
            format!("/docker/{ID}/init.scope"),
            Some(format!("docker/{ID}")),
        );
        check("/".to_owned(), None);
        check("/user.slice".to_owned(), None);
        check(format!("/../docker/{ID}"), None);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let why = |path: &str| container_path(path, 7, ID).unwrap_err().to_string();
        assert!(why("/").contains("root cgroup"), "{}", why("/"));
        assert!(
            why("/user.slice").contains("51d4157d2ba2")
                && why("/user.slice").contains("--pid=host")
        );
        assert!(why("/../x").contains("--cgroupns=host"));
    }

    #[test]
    fn configured_paths() {
        let check = |path: &str, mount: &str, expect: Result<(), &str>| match (
            check_path(Path::new(path), Path::new(mount)),
            expect,
        ) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{path}: {error}"),
            (found, _) => panic!("{path}: {found:?}"),
        };
        let hybrid = "/sys/fs/cgroup/unified";
        check("/sys/fs/cgroup/unified/a/b", hybrid, Ok(()));
        check("/sys/fs/cgroup/a/b", "/sys/fs/cgroup", Ok(()));
        check(
            "/sys/fs/cgroup/memory/a/b",
            hybrid,
            Err("give /sys/fs/cgroup/unified/a/b"),
        );
        check(
            "/sys/fs/cgroup/cpu,cpuacct/a",
            hybrid,
            Err("give /sys/fs/cgroup/unified/a"),
        );
        check(
            "/sys/fs/cgroup/docker/a",
            hybrid,
            Err("give /sys/fs/cgroup/unified/docker/a"),
        );
        check(
            "/docker/a",
            hybrid,
            Err("give /sys/fs/cgroup/unified/docker/a"),
        );
        check(
            "docker/a",
            "/sys/fs/cgroup",
            Err("give /sys/fs/cgroup/docker/a"),
        );
        check("/sys/fs/cgroup/unified", hybrid, Err("root cgroup"));
        check("/sys/fs/cgroup/unified/", hybrid, Err("root cgroup"));
        check("/sys/fs/cgroup/unified/a/../..", hybrid, Err("`..`"));
    }

    #[test]
    fn start_ticks_are_behind_any_name() {
        let stat = "12 (a) S (b) R 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(start_ticks(stat), Some(4711));
        assert_eq!(start_ticks("12 (a"), None);
    }

    #[test]
    fn this_very_process_started_after_boot_and_before_now() {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
        let started = started_boot_ns(std::process::id()) / 1_000_000_000;
        assert!(started > 0 && started <= u64::try_from(now).unwrap());
    }

    #[test]
    fn a_process_that_is_gone_is_no_error_of_the_operators() {
        assert_eq!(
            container_cgroup(u32::MAX, ID, Path::new("/x")),
            Err(ResolveError::Ended)
        );
    }

    #[test]
    fn ids() {
        assert!(is_container_id(ID));
        assert!(!is_container_id(&ID[1..]) && !is_container_id(&ID.to_uppercase()));
        assert!(is_hex("0af") && !is_hex("") && !is_hex("metamcp"));
    }
}
