//! A cgroup that a test's containers are put into, so that the witness can watch from before their
//! first process, and nothing is left of them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::machine;
use crate::{Cgroup, Witness};

/// A parent for containers: `docker run --cgroup-parent`. Dropped, all that is in it dies.
#[derive(Debug)]
pub struct Parent {
    cgroup: Cgroup,
}

impl Parent {
    /// A new one, empty.
    ///
    /// # Errors
    /// No v2 hierarchy, or not root.
    pub fn new(test: &str) -> Result<Self> {
        let cgroup = if machine::is_systemd() {
            Cgroup::slice()?
        } else {
            Cgroup::new(test)?
        };
        Ok(Self { cgroup })
    }

    /// The path that Docker takes.
    #[must_use]
    pub fn docker_path(&self) -> String {
        let path = self.cgroup.below_root();
        if machine::is_systemd() {
            // There it is a slice's name.
            return path.trim_start_matches('/').to_owned();
        }
        path
    }

    /// A witness of all containers that will be in it.
    ///
    /// # Errors
    /// See [`Witness::watch`].
    pub fn witness(&self) -> Result<Witness> {
        Witness::watch(&self.cgroup)
    }

    /// Most bytes that were charged to its containers at once: v1's memory hierarchy on a hybrid
    /// host, the v2 one elsewhere.
    ///
    /// # Errors
    /// Neither has it.
    pub fn memory_peak(&self) -> Result<u64> {
        let name = self.cgroup.below_root();
        for path in [
            format!("/sys/fs/cgroup/memory{name}/memory.max_usage_in_bytes"),
            format!("{}/memory.peak", self.cgroup.path().display()),
        ] {
            if let Ok(text) = fs::read_to_string(&path) {
                return text
                    .trim()
                    .parse()
                    .with_context(|| format!("{path} says {text:?}"));
            }
        }
        bail!("no memory controller tells the peak of {name}")
    }

    /// The same cgroup in the v1 hierarchies, where the runtime made it too.
    fn in_v1(&self) -> Vec<PathBuf> {
        let name = self.docker_path();
        let name = name.trim_start_matches('/');
        let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else {
            return Vec::new();
        };
        let own = |folder: fs::DirEntry| folder.path().join(name);
        hierarchies
            .flatten()
            .map(own)
            .filter(|path| path.is_dir() && path != self.cgroup.path())
            .collect()
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // The v2 cgroup's own drop waits for the dead; their v1 cgroups are empty then too.
        // systemd may have taken an empty one away.
        if self.cgroup.path().is_dir()
            && let Err(error) = self.cgroup.kill()
        {
            eprintln!("test kit: {error:#}");
        }
        for path in self.in_v1() {
            for nested in fs::read_dir(&path).into_iter().flatten().flatten() {
                let _a_file = fs::remove_dir(nested.path());
            }
            if let Err(error) = fs::remove_dir(&path) {
                eprintln!("test kit: {}: {error}", path.display());
            }
        }
    }
}
