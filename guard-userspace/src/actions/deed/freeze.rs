//! Stops all of a cgroup, and lets it go on: cgroup.freeze, which each v2 hierarchy has, on a hybrid
//! host too (kernel/cgroup/freezer.c).
//!
//! Nothing stays stopped for ever: before anything is frozen, the thawer hears of it, which thaws it
//! when the agent is gone.

use super::Scene;
use super::steps::Steps;
use crate::evidence::process;
use crate::evidence::tree;
use crate::guardian::thawer;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A process that cannot be stopped just now (it waits for a disk, for a child in vfork) is waited for
/// this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A cgroup that is about to be frozen, noted so that a later agent lets it go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Its directory.
    pub dir: PathBuf,
    /// Its id, which no other has until the machine starts anew.
    pub cgroup: u64,
    /// The machine's start.
    pub boot: String,
}

impl Frozen {
    fn of(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            cgroup: tree::id(dir)?,
            boot: boot()?,
        })
    }

    /// Lets it go on, if it is still frozen and the same one; says whether it was.
    ///
    /// # Errors
    /// The kernel's, or not all of it goes on.
    pub fn let_go(&self) -> Result<bool, String> {
        let is_it = tree::id(&self.dir).is_ok_and(|id| id == self.cgroup);
        let is_now = boot().is_ok_and(|boot| boot == self.boot);
        let frozen = fs::read_to_string(self.dir.join("cgroup.freeze"));
        if !is_it || !is_now || !frozen.is_ok_and(|word| word.trim() == "1") {
            return Ok(false);
        }
        write(&self.dir, false).map(|()| true)
    }
}

/// What the kernel calls this run of it.
fn boot() -> io::Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim().to_owned())
}

/// Freezes it. What cannot be frozen whole is thawed again.
pub fn freeze(dir: &Path, scene: &Scene, steps: &mut Steps) {
    if holds_us(dir, &scene.v2_mount) {
        let words = "the agent itself is in it, and would be stopped too";
        return steps.failed("freeze", "", words);
    }
    let told = match &scene.thawer {
        Some(pipe) => thawer::tell(pipe, true, dir),
        None => Err(io::ErrorKind::NotFound.into()),
    };
    if let Err(error) = told {
        let words = format!("nobody would thaw it if the agent died, so it is not frozen: {error}");
        return steps.failed("freeze", "", words);
    }
    match Frozen::of(dir) {
        Ok(frozen) => scene.frozen.keep(&Some(frozen)),
        Err(error) => return steps.failed("freeze", "", error.to_string()),
    }
    let began = Instant::now();
    match write(dir, true) {
        Ok(()) => {
            let words = format!("frozen after {} ms", began.elapsed().as_millis());
            steps.is("cgroup.freeze", "1", words);
        }
        Err(why) => {
            steps.failed("cgroup.freeze", "1", why);
            thaw(dir, scene, steps);
        }
    }
}

/// Lets it go on.
pub fn thaw(dir: &Path, scene: &Scene, steps: &mut Steps) {
    match write(dir, false) {
        Ok(()) => {
            if let Some(pipe) = &scene.thawer {
                // One that is gone has thawed it, or thaws nothing any more.
                let _ = thawer::tell(pipe, false, dir);
            }
            scene.frozen.keep(&None);
            steps.is("cgroup.freeze", "0", "runs");
        }
        Err(why) => steps.failed("cgroup.freeze", "0", why),
    }
}

/// A frozen container does not hear that it is to end: it is thawed first, if this agent froze it.
pub fn let_go(dir: &Path, scene: &Scene) {
    let frozen = fs::read_to_string(dir.join("cgroup.freeze"));
    if scene.is_frozen && frozen.is_ok_and(|word| word.trim() == "1") {
        thaw(dir, scene, &mut Steps::default());
    }
}

fn holds_us(dir: &Path, v2_mount: &Path) -> bool {
    let below = dir.strip_prefix(v2_mount);
    let own = process::cgroup(std::process::id());
    match (below, own) {
        (Ok(below), Some(own)) => own.starts_with(below),
        // What cannot be told may be so.
        _ => true,
    }
}

/// Asks for it, and waits until the kernel says that all of it is so.
fn write(dir: &Path, frozen: bool) -> Result<(), String> {
    let word = if frozen { "1" } else { "0" };
    let file = dir.join("cgroup.freeze");
    fs::write(&file, word).map_err(|error| format!("{}: {error}", file.display()))?;
    let line = format!("frozen {word}");
    let began = Instant::now();
    loop {
        let events = fs::read_to_string(dir.join("cgroup.events"));
        let events = events.map_err(|error| format!("{}: {error}", dir.display()))?;
        if events.lines().any(|one| one == line) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(format!(
                "not all of it within {seconds} s (a process waits in the kernel)"
            ));
        }
        sleep(PAUSE);
    }
}
