//! When the canary has its turn: at the start, every `canary_every`, and again at once after a
//! rung that did not hold.

use crate::kernel::canary::{Ask, Canary, Seen, Stage};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// The canary's turns.
#[derive(Debug)]
pub struct Proving {
    every: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// In observe: never.
    Never,
    /// Next time then.
    Next(Instant),
    /// It was told to spawn.
    Out(JoinHandle<(Stage, Seen)>),
}

/// What the loop is to do.
#[derive(Debug)]
pub enum Turn {
    /// Begin one.
    Due,
    /// One has spoken.
    Heard(Stage, Seen),
    /// One ended without a word.
    Lost,
}

impl Proving {
    /// At once, and every so often.
    #[must_use]
    pub fn every(every: Duration) -> Self {
        let state = State::Next(Instant::now());
        Self { every, state }
    }

    /// Never.
    #[must_use]
    pub const fn never() -> Self {
        Self {
            every: Duration::MAX,
            state: State::Never,
        }
    }

    /// Waits for a turn. May be dropped and called again.
    pub async fn turn(&mut self) -> Turn {
        match &mut self.state {
            State::Never => std::future::pending().await,
            State::Next(at) => {
                sleep_until(*at).await;
                Turn::Due
            }
            State::Out(canary) => match canary.await {
                Ok((stage, seen)) => Turn::Heard(stage, seen),
                Err(_) => Turn::Lost,
            },
        }
    }

    /// A canary is out; somebody else waits for it, since that may take seconds.
    pub fn out(&mut self, canary: Canary, ask: Option<Ask>) {
        let wait = move || canary.wait(ask.as_ref());
        self.state = State::Out(tokio::task::spawn_blocking(wait));
    }

    /// The next turn is at once.
    pub fn again(&mut self) {
        self.state = State::Next(Instant::now());
    }

    /// The next turn is when it is time.
    pub fn later(&mut self) {
        self.state = State::Next(Instant::now() + self.every);
    }
}
