//! Throw-away cgroups: each test has its own, and nothing of it is left when the test ends.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::place;

/// How long the kernel may take to bury what was killed.
const BURIAL: Duration = Duration::from_secs(10);

/// A cgroup of this test's own. Dropped, it kills what is in it and below it and goes away.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    root: PathBuf,
}

impl Cgroup {
    /// A new one below the root of the v2 hierarchy, named after the test.
    ///
    /// # Errors
    /// No v2 hierarchy, or not root.
    pub fn new(test: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let root = place::cgroup_root()?;
        let name = format!("guard-test-{}-{number}-{test}", std::process::id());
        Self::at(root.join(name), root)
    }

    /// A new slice below the root, as systemd names them: one that it finds there is taken for its own.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn slice() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let root = place::cgroup_root()?;
        // A dash in the name would be one slice within another.
        let name = format!("guardtest{}n{number}.slice", std::process::id());
        Self::at(root.join(name), root)
    }

    /// One that another program of this suite made. Dropped, it goes away like any other.
    ///
    /// # Errors
    /// It is not there.
    pub fn existing(path: &Path) -> Result<Self> {
        ensure!(path.is_dir(), "{} is not there", path.display());
        let root = place::cgroup_root()?;
        Ok(Self {
            path: path.to_owned(),
            root,
        })
    }

    /// A new one inside this one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn nested(&self, name: &str) -> Result<Self> {
        Self::at(self.path.join(name), self.root.clone())
    }

    fn at(path: PathBuf, root: PathBuf) -> Result<Self> {
        fs::create_dir(&path)
            .with_context(|| format!("cannot make the cgroup {}", path.display()))?;
        Ok(Self { path, root })
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path below the root of the v2 hierarchy, with a leading slash.
    #[must_use]
    pub fn below_root(&self) -> String {
        let below = self.path.strip_prefix(&self.root).unwrap_or(&self.path);
        format!("/{}", below.display())
    }

    /// Its id: the inode number of its folder.
    ///
    /// # Errors
    /// It is gone.
    pub fn id(&self) -> Result<u64> {
        let meta = fs::metadata(&self.path);
        Ok(meta
            .with_context(|| format!("{} is gone", self.path.display()))?
            .ino())
    }

    /// Its depth below the root of the hierarchy: 1 for a child of the root.
    ///
    /// # Errors
    /// More than the kernel could nest.
    pub fn level(&self) -> Result<i32> {
        let below = self
            .path
            .strip_prefix(&self.root)
            .context("not below the root")?;
        i32::try_from(below.components().count()).context("too deep")
    }

    /// Moves a process into it.
    ///
    /// # Errors
    /// The process is gone, or may not be moved.
    pub fn take(&self, pid: u32) -> Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
            .with_context(|| format!("cannot move {pid} into {}", self.path.display()))
    }

    /// Pids in it, not counting what is nested. Not atomic: no peak may be read from it.
    ///
    /// # Errors
    /// It is gone.
    pub fn pids(&self) -> Result<Vec<u32>> {
        let text = fs::read_to_string(self.path.join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Kills all that is in it and below it, and waits until it is gone.
    ///
    /// # Errors
    /// The kernel's, or something did not die in ten seconds.
    pub fn kill(&self) -> Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1").context("cgroup.kill (Linux 5.14)")?;
        let until = Instant::now() + BURIAL;
        while self.populated()? {
            if Instant::now() > until {
                bail!(
                    "{} still has processes {BURIAL:?} after cgroup.kill",
                    self.path.display()
                );
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn populated(&self) -> Result<bool> {
        let events = fs::read_to_string(self.path.join("cgroup.events"))?;
        Ok(events.lines().any(|line| line == "populated 1"))
    }

    fn remove(&self) -> Result<()> {
        if !self.path.is_dir() {
            return Ok(());
        }
        self.kill()?;
        remove_below(&self.path)?;
        fs::remove_dir(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

fn remove_below(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path())?;
            fs::remove_dir(entry.path())?;
        }
    }
    Ok(())
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("test kit: {error:#}");
        }
    }
}
