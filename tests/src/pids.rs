//! A limit on the tasks of a cgroup that is not the guard's: `pids.max`, wherever this machine has
//! its controller.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{Cgroup, place};

/// `pids.max` for a storm. Dropped, it is lifted.
#[derive(Debug)]
pub struct PidsMax {
    /// The cgroup of the v1 hierarchy, where the controller is there.
    v1: Option<PathBuf>,
    /// The root of the v2 hierarchy, where it was switched on for this test.
    switched_on: Option<PathBuf>,
}

impl PidsMax {
    /// Limits the storms that are started with [`Self::arguments`] in `cgroup`.
    ///
    /// # Errors
    /// This machine has no such controller, or the kernel's.
    pub fn set(cgroup: &Cgroup, most: u64) -> Result<Self> {
        let root = place::cgroup_root()?;
        let has = |file: &str| -> Result<bool> {
            let words = fs::read_to_string(root.join(file))?;
            Ok(words.split_whitespace().any(|word| word == "pids"))
        };
        if !has("cgroup.controllers")? {
            return Self::set_v1(cgroup, most);
        }
        let control = "cgroup.subtree_control";
        let mut switched_on = None;
        if !has(control)? {
            fs::write(root.join(control), "+pids").context("switching pids on")?;
            switched_on = Some(root);
        }
        limit(cgroup.path(), most)?;
        Ok(Self {
            v1: None,
            switched_on,
        })
    }

    fn set_v1(cgroup: &Cgroup, most: u64) -> Result<Self> {
        let root = place::cgroup_v1("pids")?;
        let name = cgroup.path().file_name().context("a cgroup has a name")?;
        let path = root.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let made = Self {
            v1: Some(path.clone()),
            switched_on: None,
        };
        limit(&path, most)?;
        Ok(made)
    }

    /// What a storm needs to be told beside its own cgroup.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let path = self.v1.iter().map(|path| path.display().to_string());
        path.flat_map(|path| ["--cgroup".to_owned(), path])
            .collect()
    }
}

fn limit(cgroup: &Path, most: u64) -> Result<()> {
    let file = cgroup.join("pids.max");
    fs::write(&file, most.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

impl Drop for PidsMax {
    fn drop(&mut self) {
        let lifted = match (&self.v1, &self.switched_on) {
            (Some(path), _) => fs::remove_dir(path),
            (None, Some(root)) => fs::write(root.join("cgroup.subtree_control"), "-pids"),
            (None, None) => Ok(()),
        };
        if let Err(error) = lifted {
            eprintln!("test kit: pids.max is not lifted: {error}");
        }
    }
}
