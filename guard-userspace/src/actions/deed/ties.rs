//! What a container was taken from, remembered where neither this thread's end nor the agent's takes it
//! away.

use super::isolate::Tie;
use core::fmt;
use std::sync::Arc;

type Keep = dyn Fn(&[Tie]) + Send + Sync;
type Kept = dyn Fn() -> Option<Vec<Tie>> + Send + Sync;

/// Remembers networks, and gives them back.
#[derive(Clone)]
pub struct Ties {
    keep: Arc<Keep>,
    kept: Arc<Kept>,
}

impl Ties {
    /// By these two. None kept is none known.
    pub fn by(
        keep: impl Fn(&[Tie]) + Send + Sync + 'static,
        kept: impl Fn() -> Option<Vec<Tie>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            keep: Arc::new(keep),
            kept: Arc::new(kept),
        }
    }

    /// Remembers them in place of others.
    pub fn keep(&self, ties: &[Tie]) {
        (self.keep)(ties);
    }

    /// What is remembered.
    #[must_use]
    pub fn kept(&self) -> Option<Vec<Tie>> {
        (self.kept)().filter(|ties| !ties.is_empty())
    }
}

impl fmt::Debug for Ties {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Ties")
    }
}
