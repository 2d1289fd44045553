//! What must be known again, remembered where neither this thread's end nor the agent's takes it away.

use core::fmt;
use std::sync::Arc;

type Keep<T> = dyn Fn(&T) + Send + Sync;
type Kept<T> = dyn Fn() -> Option<T> + Send + Sync;

/// Remembers one thing, and gives it back.
pub struct Memo<T> {
    keep: Arc<Keep<T>>,
    kept: Arc<Kept<T>>,
}

impl<T> Memo<T> {
    /// By these two. Nothing kept is nothing known.
    pub fn by(
        keep: impl Fn(&T) + Send + Sync + 'static,
        kept: impl Fn() -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        Self {
            keep: Arc::new(keep),
            kept: Arc::new(kept),
        }
    }

    /// Remembers it in place of another.
    pub fn keep(&self, what: &T) {
        (self.keep)(what);
    }

    /// What is remembered.
    #[must_use]
    pub fn kept(&self) -> Option<T> {
        (self.kept)()
    }
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Self {
            keep: Arc::clone(&self.keep),
            kept: Arc::clone(&self.kept),
        }
    }
}

impl<T> fmt::Debug for Memo<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Memo")
    }
}
