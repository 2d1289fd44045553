//! The signals that an operator sends.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears them, from its making on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to hear. To be called inside of a runtime.
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one; true: the agent is to end.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            _ = self.hangup.recv() => {
                tracing::warn!("SIGHUP: this version reads its configuration at its start alone");
                false
            }
        }
    }
}
