//! The agent's last word, shared with whoever asks.

use crate::model::Status;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// Longest wait for a new snapshot; then the last one has to do.
const PATIENCE: Duration = Duration::from_millis(500);

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

/// Reads snapshots and asks for new ones.
#[derive(Clone, Debug)]
pub struct Snapshots {
    newest: watch::Receiver<Snapshot>,
    ask: Arc<Notify>,
}

impl Snapshots {
    /// A place for snapshots, and readers of it.
    #[must_use]
    pub fn channel(first: Status) -> (watch::Sender<Snapshot>, Self) {
        let (tx, newest) = watch::channel(Snapshot::now(first));
        let ask = Arc::new(Notify::new());
        (tx, Self { newest, ask })
    }

    /// The newest one there is.
    #[must_use]
    pub fn newest(&self) -> Snapshot {
        self.newest.borrow().clone()
    }

    /// One that is taken now. From a loop that does not answer: the newest there is.
    pub async fn fresh(&self) -> Snapshot {
        let mut newest = self.newest.clone();
        newest.mark_unchanged();
        self.ask.notify_one();
        // Too late, or the agent ends: either way what is known has to do.
        let _ = timeout(PATIENCE, newest.changed()).await;
        newest.borrow().clone()
    }

    /// Comes back when somebody wants a new snapshot; those who ask together are one.
    pub async fn asked(&self) {
        self.ask.notified().await;
    }
}
