//! What is done to a target as a whole: frozen, limited, cut off, restarted. It takes seconds, so it
//! runs on a thread of its own, and how it ended comes back as an outcome with each step that was taken
//! and each value as it was read back.
//!
//! A deed is about the one container (by its id) or the one cgroup that the target was when it was
//! permitted, and names no other. Docker may go away in the middle of each: then what is left is said.

mod begun;
mod compose;
mod daemon;
mod freeze;
mod isolate;
mod limit;
mod memo;
mod nofile;
mod recreate;
mod restart;
mod resume;
mod settings;
mod steps;

use super::end::Hurry;
use crate::model::{Action, Deed, Doing, Outcome};
use crate::rails::Permit;
use crate::targets::Endpoint;
use daemon::Daemon;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use steps::Steps;

pub use begun::Begun;
pub use freeze::Frozen;
pub use isolate::Tie;
pub use memo::Memo;

/// Whom it is done to, and with what.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The target's container: 64 hexadecimal digits; `None`: it is none, or none is known.
    pub container: Option<String>,
    /// Its cgroup's directory; `None`: it does not run.
    pub dir: Option<PathBuf>,
    /// Where the v2 hierarchy is mounted.
    pub v2_mount: PathBuf,
    /// Where Docker is.
    pub endpoint: Endpoint,
    /// Where its compose file is, where the configuration says so.
    pub compose_dir: Option<PathBuf>,
    /// Who thaws what is frozen when the agent is gone; `None`: nobody, so nothing is frozen.
    pub thawer: Option<Arc<File>>,
    /// This agent froze it.
    pub is_frozen: bool,
    /// What it was taken from; none: from nothing.
    pub ties: Memo<Vec<Tie>>,
    /// What was begun and is not brought to an end.
    pub begun: Memo<Option<Begun>>,
    /// What is frozen.
    pub frozen: Memo<Option<Frozen>>,
    /// The agent ends: nobody is waited for any more than must be.
    pub hurry: Hurry,
}

/// Carries out a permit for a deed, on a thread of its own, when `ready` has returned; `tell` hears
/// how it ended. A permit for
/// anything else does nothing.
///
/// # Errors
/// No thread.
pub fn begin(
    permit: Permit,
    scene: Scene,
    ready: impl FnOnce() + Send + 'static,
    tell: impl FnOnce(Outcome) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let run = move || {
        ready();
        if let Action::Do(doing) = permit.action() {
            tell(carry_out(doing.clone(), &scene));
        }
    };
    Builder::new().name("deed".to_owned()).spawn(run)
}

/// Why a deed could not be tried.
#[must_use]
pub fn failed(doing: Doing, why: &str) -> Outcome {
    let mut steps = Steps::default();
    steps.failed(doing.deed.name(), "", why);
    steps.outcome(doing)
}

fn carry_out(doing: Doing, scene: &Scene) -> Outcome {
    let mut steps = Steps::default();
    match (&doing.deed, scene.dir.as_deref()) {
        (Deed::Freeze, Some(dir)) => freeze::freeze(dir, scene, &mut steps),
        (Deed::Thaw, Some(dir)) => freeze::thaw(dir, scene, &mut steps),
        (Deed::Freeze | Deed::Thaw, None) => steps.failed("cgroup.freeze", "", "it does not run"),
        (deed, dir) => by_docker(deed, dir, scene, &mut steps),
    }
    steps.outcome(doing)
}

fn by_docker(deed: &Deed, dir: Option<&Path>, scene: &Scene, steps: &mut Steps) {
    let container = scene.container.as_deref();
    let Some(container) = container.or((*deed == Deed::Resume).then_some("")) else {
        return steps.failed(deed.name(), "", "its container is not known");
    };
    let daemon = match Daemon::at(&scene.endpoint) {
        Ok(daemon) => daemon,
        Err(trouble) => return steps.failed(deed.name(), "", trouble.to_string()),
    };
    if let Some(dir) = dir.filter(|_| deed.restarts()) {
        freeze::let_go(dir, scene);
    }
    match deed {
        Deed::Isolate => isolate::isolate(&daemon, container, scene, steps),
        Deed::Rejoin => isolate::rejoin(&daemon, container, scene, steps),
        Deed::Limit(limits) => limit::all(&daemon, container, limits, scene, steps),
        Deed::Restart { stop_s } => restart::restart(&daemon, container, *stop_s, scene, steps),
        Deed::Recreate { stop_s } => recreate::recreate(&daemon, container, *stop_s, scene, steps),
        Deed::Resume => resume::resume(&daemon, scene, steps),
        Deed::Freeze | Deed::Thaw => {}
    }
}
