//! Where the demo happens: a cgroup and a folder of its own, both gone when it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::evidence::cgroup::cgroup_v2_mount;

/// How long the kernel may take to bury what was killed.
const BURIAL: Duration = Duration::from_secs(5);

/// A cgroup of the demo's own and a folder for the agent's config. Dropped, it ends what is in the
/// cgroup (all of it was started there by the demo) and removes both.
#[derive(Debug)]
pub struct Stage {
    cgroup: PathBuf,
    folder: PathBuf,
}

impl Stage {
    /// Sets it up.
    ///
    /// # Errors
    /// No cgroup v2, or no right to make one.
    pub fn new(part: &str) -> Result<Self> {
        let name = format!("metamcp-guard-demo-{}-{part}", std::process::id());
        let cgroup = cgroup_v2_mount()?.join(&name);
        fs::create_dir(&cgroup)
            .with_context(|| format!("cannot make the cgroup {}", cgroup.display()))?;
        let folder = std::env::temp_dir().join(&name);
        let stage = Self { cgroup, folder };
        fs::create_dir(&stage.folder)
            .with_context(|| format!("cannot make the folder {}", stage.folder.display()))?;
        Ok(stage)
    }

    /// The cgroup's folder.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// The folder for files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends all that is in the cgroup, and waits until it is gone.
    fn clear(&self) -> Result<()> {
        fs::write(self.cgroup.join("cgroup.kill"), "1").context("cgroup.kill")?;
        let until = Instant::now() + BURIAL;
        while Instant::now() < until {
            let events = fs::read_to_string(self.cgroup.join("cgroup.events"))?;
            if events.lines().any(|line| line == "populated 0") {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        fs::remove_dir(&self.cgroup)
            .with_context(|| format!("cannot remove {}", self.cgroup.display()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("demo: {error:#}");
        }
        // Made by us and read by nobody else; a folder that stays behind in /tmp harms no one.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
