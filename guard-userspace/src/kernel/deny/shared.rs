//! What the threads say to the rest of the agent, word by word and without a lock.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::heart::Heart;
use super::tally::Tally;

/// What the thread says to the rest of the agent.
#[derive(Debug)]
pub struct Shared {
    /// Whether it lives.
    pub heart: Heart,
    /// What it has done.
    pub tally: Tally,
    let_go: AtomicBool,
}

impl Shared {
    /// A heart that does not beat yet.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            heart: Heart::new()?,
            tally: Tally::default(),
            let_go: AtomicBool::new(false),
        })
    }

    /// Whether it has let go: it marks nothing and allows all, because it could not read who asks.
    pub fn has_let_go(&self) -> bool {
        self.let_go.load(SeqCst)
    }

    /// It lets go, for good; says whether it had not before.
    pub fn let_go(&self) -> bool {
        !self.let_go.swap(true, SeqCst)
    }
}
