//! Who is to be guarded, and where it is right now: containers are followed through Docker,
//! cgroups by looking.
//!
//! Nothing here ever lets go of a target because Docker cannot be asked: only Docker's own word, or
//! a cgroup that is not there, makes a [`Event::Gone`]. So a daemon that is absent, slow or talks
//! nonsense leaves every gate as it is.

mod answer;
mod assign;
mod cgroup;
mod container;
mod docker;
pub mod endpoint;
pub mod health;
#[cfg(test)]
mod nonsense;
pub mod resolve;
mod roster;
mod said;
pub mod transport;

pub use endpoint::Endpoint;

use crate::config::TargetSource;
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Events that may wait for the agent; past that the watchers wait, and what they know stays
/// true, since each event is made from a comparison and not from a message.
const EVENTS_WAITING: usize = 256;

/// A target as the config names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The config's name for it.
    pub name: String,
    /// How to find it.
    pub source: TargetSource,
}

/// A target as it is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Which of the [`Wanted`] given to [`Watch::spawn`] it comes of.
    pub index: usize,
    /// The config's name, or for a label the container's.
    pub name: String,
}

/// What became known of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its container exists and does not run: its cgroup will have `container` (64 hexadecimal
    /// digits) in the last component of its path. Holds until `Appeared` or `Gone`.
    Expected {
        /// Which target.
        target: Target,
        /// The container's id.
        container: String,
    },
    /// Its cgroup is there. A second one without a `Gone` between never comes.
    Appeared {
        /// Which target.
        target: Target,
        /// Where.
        found: Found,
    },
    /// What was expected or had appeared is no more.
    Gone {
        /// Which target.
        target: Target,
        /// Why, in words for the operator.
        why: String,
    },
    /// There is nothing to guard yet. Said once.
    Waiting {
        /// Which target.
        target: Target,
        /// For what, in words for the operator.
        why: String,
    },
    /// It is there and cannot be guarded.
    Refused {
        /// Which target.
        target: Target,
        /// Why, and what to do.
        why: String,
    },
    /// Docker cannot be followed for now. Said once; tried again with back-off.
    DockerLost {
        /// Why, in words for the operator.
        why: String,
    },
    /// Docker is followed again: all that changed meanwhile has been said.
    DockerBack,
}

/// Where a target runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The container's id (64 hexadecimal digits); `None` for a target by cgroup.
    pub container: Option<String>,
    /// Docker's `State.Pid`, the container's init; `None` for a target by cgroup.
    pub init: Option<u32>,
    /// The cgroup's directory, absolute, in the v2 hierarchy.
    pub cgroup_dir: PathBuf,
    /// When the init started, in nanoseconds of CLOCK_BOOTTIME, to the clock tick; 0: not known.
    pub started_boot_ns: u64,
}

/// Follows all targets.
#[derive(Debug)]
pub struct Watch;

impl Watch {
    /// Follows `wanted` until the receiver is dropped. Needs a tokio runtime with time and I/O.
    ///
    /// `v2_mount`: where the v2 hierarchy is mounted. Docker is asked only where a target needs it.
    #[must_use]
    pub fn spawn(
        wanted: Vec<Wanted>,
        endpoint: Endpoint,
        v2_mount: PathBuf,
    ) -> mpsc::Receiver<Event> {
        Self::spawn_with(wanted, endpoint, v2_mount, docker::Bounds::default())
    }

    fn spawn_with(
        wanted: Vec<Wanted>,
        endpoint: Endpoint,
        v2_mount: PathBuf,
        bounds: docker::Bounds,
    ) -> mpsc::Receiver<Event> {
        let (tx, rx) = mpsc::channel(EVENTS_WAITING);
        for (index, one) in wanted.iter().enumerate() {
            if let TargetSource::Cgroup(path) = &one.source {
                let target = Target {
                    index,
                    name: one.name.clone(),
                };
                tokio::spawn(cgroup::follow(
                    target,
                    path.clone(),
                    v2_mount.clone(),
                    tx.clone(),
                ));
            }
        }
        if wanted.iter().any(|one| one.source.is_container()) {
            tokio::spawn(docker::follow(wanted, endpoint, v2_mount, bounds, tx));
        }
        rx
    }
}
