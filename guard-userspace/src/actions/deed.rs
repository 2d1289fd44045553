//! What is done to a target as a whole: frozen, limited, cut off, restarted. It takes seconds, so it
//! runs on a thread of its own, and how it ended comes back as an outcome with each step that was taken
//! and each value as it was read back.
//!
//! A deed is about the one container (by its id) or the one cgroup that the target was when it was
//! permitted, and names no other. Docker may go away in the middle of each: then what is left is said.

mod daemon;
mod limit;
mod nofile;
mod restart;
mod steps;

use super::end::Hurry;
use crate::model::{Action, Deed, Doing, Outcome};
use crate::rails::Permit;
use crate::targets::Endpoint;
use daemon::Daemon;
use std::io;
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};
use steps::Steps;

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
    /// The agent ends: nobody is waited for any more than must be.
    pub hurry: Hurry,
}

/// Carries out a permit for a deed, on a thread of its own; `tell` hears how it ended. A permit for
/// anything else does nothing.
///
/// # Errors
/// No thread.
pub fn begin(
    permit: Permit,
    scene: Scene,
    tell: impl FnOnce(Outcome) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let run = move || {
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
    let daemon = Daemon::at(&scene.endpoint);
    match (&doing.deed, daemon, scene.container.as_deref()) {
        (_, Err(trouble), _) => steps.failed(doing.deed.name(), "", trouble.to_string()),
        (_, _, None) => steps.failed(doing.deed.name(), "", "its container is not known"),
        (Deed::Limit(limits), Ok(daemon), Some(container)) => {
            limit::all(&daemon, container, limits, scene, &mut steps);
        }
        (Deed::Restart { stop_s }, Ok(daemon), Some(container)) => {
            restart::restart(&daemon, container, *stop_s, scene, &mut steps);
        }
        (deed, Ok(_), Some(_)) => steps.failed(deed.name(), "", "not built yet"),
    }
    steps.outcome(doing)
}
