//! The limits in force of a cgroup, whoever set them: by the v2 hierarchy where it has the controller,
//! on a hybrid host by v1's, in which a container has the same path.

use super::mounts;
use procfs::process::MountInfo;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// v1 writes "no limit" as the largest number of whole pages.
const V1_NO_LIMIT: u64 = 1 << 62;

/// A limit as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing here knows of it.
    Absent,
    /// None is set.
    None,
    /// Bytes, tasks, or billionths of a CPU.
    Is(u64),
}

impl Limit {
    /// As it is shown.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::Absent => "not accounted for here".to_owned(),
            Self::None => "no limit".to_owned(),
            Self::Is(value) => value.to_string(),
        }
    }
}

/// Where controllers are on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controls {
    v2: PathBuf,
    v1: BTreeMap<&'static str, PathBuf>,
}

/// v1's controllers that are read.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

impl Controls {
    /// Of this host, whose v2 hierarchy is mounted at `v2_mount`.
    #[must_use]
    pub fn find(v2_mount: &Path) -> Self {
        let mounts = mounts::here().unwrap_or_default();
        let found = CONTROLLERS
            .into_iter()
            .filter_map(|name| Some((name, v1_of(&mounts, name)?)));
        Self {
            v2: v2_mount.to_owned(),
            v1: found.collect(),
        }
    }

    /// Most memory of the cgroup `dir` in the v2 hierarchy, in bytes.
    #[must_use]
    pub fn memory(&self, dir: &Path) -> Limit {
        let v1 = || self.v1_file(dir, "memory", "memory.limit_in_bytes");
        or(limit(&dir.join("memory.max")), v1)
    }

    /// Memory kept for it under pressure, in bytes.
    #[must_use]
    pub fn reservation(&self, dir: &Path) -> Limit {
        let v1 = || self.v1_file(dir, "memory", "memory.soft_limit_in_bytes");
        // 0 is v2's word for none.
        match or(limit(&dir.join("memory.low")), v1) {
            Limit::Is(0) => Limit::None,
            other => other,
        }
    }

    /// Most memory and swap together, in bytes.
    #[must_use]
    pub fn memory_and_swap(&self, dir: &Path) -> Limit {
        let swap = limit(&dir.join("memory.swap.max"));
        match (self.memory(dir), swap) {
            (Limit::Is(memory), Limit::Is(swap)) => Limit::Is(memory.saturating_add(swap)),
            (_, Limit::Absent) => self.v1_file(dir, "memory", "memory.memsw.limit_in_bytes"),
            _ => Limit::None,
        }
    }

    /// Most tasks.
    #[must_use]
    pub fn tasks(&self, dir: &Path) -> Limit {
        or(limit(&dir.join("pids.max")), || {
            self.v1_file(dir, "pids", "pids.max")
        })
    }

    /// CPUs, in billionths.
    #[must_use]
    pub fn cpus(&self, dir: &Path) -> Limit {
        if let Ok(text) = fs::read_to_string(dir.join("cpu.max")) {
            let mut words = text.split_ascii_whitespace();
            return share(words.next(), words.next());
        }
        let Some(dir) = self.v1_dir(dir, "cpu") else {
            return Limit::Absent;
        };
        let read = |name| fs::read_to_string(dir.join(name)).unwrap_or_default();
        let (quota, period) = (read("cpu.cfs_quota_us"), read("cpu.cfs_period_us"));
        if quota.is_empty() {
            return Limit::Absent;
        }
        share(Some(quota.trim()), Some(period.trim()))
    }

    fn v1_file(&self, dir: &Path, controller: &str, name: &str) -> Limit {
        let dir = self.v1_dir(dir, controller);
        dir.map_or(Limit::Absent, |dir| limit(&dir.join(name)))
    }

    fn v1_dir(&self, dir: &Path, controller: &str) -> Option<PathBuf> {
        let below = dir.strip_prefix(&self.v2).ok()?;
        Some(self.v1.get(controller)?.join(below))
    }
}

fn or(first: Limit, second: impl FnOnce() -> Limit) -> Limit {
    match first {
        Limit::Absent => second(),
        found => found,
    }
}

/// A quota of microseconds within a period of them. `max` and -1 are no quota.
fn share(quota: Option<&str>, period: Option<&str>) -> Limit {
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
    match (number(quota), number(period)) {
        (Some(quota), Some(period)) => {
            let share = quota.saturating_mul(1_000_000_000).checked_div(period);
            share.map_or(Limit::None, Limit::Is)
        }
        _ => Limit::None,
    }
}

fn limit(file: &Path) -> Limit {
    let Ok(text) = fs::read_to_string(file) else {
        return Limit::Absent;
    };
    match text.trim().parse() {
        Ok(value) if value < V1_NO_LIMIT => Limit::Is(value),
        _ => Limit::None,
    }
}

/// Where the whole of a v1 controller's hierarchy is mounted.
fn v1_of(mounts: &[MountInfo], controller: &str) -> Option<PathBuf> {
    let found = mounts.iter().find(|mount| {
        mount.fs_type == "cgroup"
            && mount.root == "/"
            && mount.super_options.contains_key(controller)
    });
    found.map(|mount| mount.mount_point.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)], check: impl FnOnce(&Controls, &Path)) {
        let name = format!("guard-controls-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&root);
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let v1 = CONTROLLERS.map(|name| (name, root.join(name)));
        let controls = Controls {
            v2: root.join("unified"),
            v1: v1.into(),
        };
        check(&controls, &root.join("unified/docker/a"));
        let _ = fs::remove_dir_all(&root);
    }

    #[test]
    fn limits_are_read_from_v2_or_from_v1() {
        with(&[], |controls, dir| {
            assert_eq!(controls.memory(dir), Limit::Absent);
            assert_eq!(controls.cpus(dir), Limit::Absent);
            assert_eq!(controls.memory_and_swap(dir), Limit::Absent);
        });
        let v2 = [
            ("unified/docker/a/memory.max", "4096\n"),
            ("unified/docker/a/memory.low", "0\n"),
            ("unified/docker/a/memory.swap.max", "8192\n"),
            ("unified/docker/a/pids.max", "max\n"),
            ("unified/docker/a/cpu.max", "150000 100000\n"),
            ("memory/docker/a/memory.limit_in_bytes", "1\n"),
        ];
        with(&v2, |controls, dir| {
            assert_eq!(controls.memory(dir), Limit::Is(4096));
            assert_eq!(controls.reservation(dir), Limit::None);
            assert_eq!(controls.memory_and_swap(dir), Limit::Is(12_288));
            assert_eq!(controls.tasks(dir), Limit::None);
            assert_eq!(controls.cpus(dir), Limit::Is(1_500_000_000));
        });
        let v1 = [
            (
                "memory/docker/a/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("memory/docker/a/memory.soft_limit_in_bytes", "2048\n"),
            ("memory/docker/a/memory.memsw.limit_in_bytes", "4096\n"),
            ("pids/docker/a/pids.max", "512\n"),
            ("cpu/docker/a/cpu.cfs_quota_us", "-1\n"),
            ("cpu/docker/a/cpu.cfs_period_us", "100000\n"),
        ];
        with(&v1, |controls, dir| {
            assert_eq!(controls.memory(dir), Limit::None);
            assert_eq!(controls.reservation(dir), Limit::Is(2048));
            assert_eq!(controls.memory_and_swap(dir), Limit::Is(4096));
            assert_eq!(controls.tasks(dir), Limit::Is(512));
            assert_eq!(controls.cpus(dir), Limit::None);
        });
    }
}
