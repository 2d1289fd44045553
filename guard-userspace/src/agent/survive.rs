//! The agent outlives the storm it guards against: a cgroup of its own, memory that is not
//! swapped out, the last one that the OOM killer takes. Each that fails is a warning with its fix,
//! and the agent goes on.

use rustix::mm::{MlockAllFlags, mlockall};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The agent's cgroup, below the v2 mount.
const CGROUP: &str = "metamcp-guard";

/// The agent's own cgroup, left and removed when dropped.
#[derive(Debug)]
pub struct Home {
    own: PathBuf,
    before: Option<PathBuf>,
}

impl Home {
    /// Moves there and does the rest.
    #[must_use]
    pub fn enter(v2_mount: &Path) -> Self {
        let before = crate::evidence::process::cgroup(std::process::id());
        let home = Self {
            own: v2_mount.join(CGROUP),
            before: before.map(|below| v2_mount.join(below)),
        };
        home.settle_in();
        // ONFAULT: locked as they are touched, so that stacks which are only reserved cost nothing.
        let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        if let Err(error) = mlockall(flags) {
            tracing::warn!(
                %error,
                "the agent's memory can be swapped out: give it CAP_IPC_LOCK or a higher \
                 RLIMIT_MEMLOCK (LimitMEMLOCK=infinity)"
            );
        }
        if let Err(error) = fs::write("/proc/self/oom_score_adj", "-1000") {
            tracing::warn!(
                %error,
                "the OOM killer may take the agent: give it CAP_SYS_RESOURCE \
                 (OOMScoreAdjust=-1000)"
            );
        }
        home
    }

    fn settle_in(&self) {
        let made = match fs::create_dir(&self.own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        };
        if let Err(error) = made.and_then(|()| enter(&self.own)) {
            tracing::warn!(
                %error,
                cgroup = %self.own.display(),
                "the agent has no cgroup of its own and shares the limits of where it was started: \
                 it must be able to write to the v2 hierarchy"
            );
        }
    }
}

fn enter(cgroup: &Path) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), "0")
}

impl Drop for Home {
    fn drop(&mut self) {
        let left = self.before.as_deref().map_or(Ok(()), enter);
        if let Err(error) = left.and_then(|()| fs::remove_dir(&self.own)) {
            tracing::debug!(%error, "the agent's cgroup stays");
        }
    }
}
