//! Ctrl-C: the demo ends early, and still leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Whether someone has asked the demo to end.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to SIGINT, SIGTERM and SIGHUP from now on.
    ///
    /// # Errors
    /// No thread or no runtime for it.
    pub fn listen() -> Result<Self> {
        let asked = Self(Arc::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context("cannot listen for signals")?;
        let (mut int, mut term, mut hup) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            )
        };
        let tell = asked.clone();
        thread::Builder::new()
            .name(String::from("signals"))
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = int.recv() => {}
                        _ = term.recv() => {}
                        _ = hup.recv() => {}
                    }
                });
                tell.0.store(true, Relaxed);
            })
            .context("cannot listen for signals")?;
        Ok(asked)
    }

    /// Whether one of them came.
    #[must_use]
    pub fn came(&self) -> bool {
        self.0.load(Relaxed)
    }
}
