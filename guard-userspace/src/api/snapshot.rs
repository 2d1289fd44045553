//! The agent's last word, shared with whoever asks.

use crate::model::Status;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// A status, and when the agent's loop took it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The status.
    pub status: Arc<Status>,
    /// When.
    pub taken: Instant,
}

impl Snapshot {
    /// `status`, taken now.
    #[must_use]
    pub fn now(status: Status) -> Self {
        let taken = Instant::now();
        Self {
            status: Arc::new(status),
            taken,
        }
    }
}

/// Reads the newest snapshot.
#[derive(Clone, Debug)]
pub struct Snapshots(watch::Receiver<Snapshot>);

impl Snapshots {
    /// A place for snapshots, and readers of it.
    #[must_use]
    pub fn channel(first: Status) -> (watch::Sender<Snapshot>, Self) {
        let (tx, rx) = watch::channel(Snapshot::now(first));
        (tx, Self(rx))
    }

    /// The newest one.
    #[must_use]
    pub fn newest(&self) -> Snapshot {
        self.0.borrow().clone()
    }
}
