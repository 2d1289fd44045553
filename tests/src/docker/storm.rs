//! Sessions that leak, several at a time, with the gateway's health asked all the while.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::client::{self, Outcome};
use super::gateway::Gateway;
use super::prober::{Health, Prober};

/// How a storm went.
#[derive(Clone, Debug)]
pub struct Course {
    /// One for each session.
    pub outcomes: Vec<Outcome>,
    /// What the health endpoint answered meanwhile.
    pub health: Health,
    /// From the first session's beginning to the last one's end.
    pub took: Duration,
    /// Served sessions that still had all their tools when the storm was over.
    pub kept: usize,
    /// Servers that ended although nobody ended their session, by how.
    pub ended: Vec<(String, usize)>,
}

/// A server that was well answers within milliseconds.
const AGAIN: Duration = Duration::from_secs(5);

/// Leaks `sessions`, `abreast` at a time, each waiting so long for its answers.
///
/// # Errors
/// The prober broke.
pub fn leak(
    gateway: &Gateway,
    sessions: usize,
    abreast: usize,
    patience: Duration,
) -> Result<Course> {
    let prober = Prober::start(gateway.health());
    let start = Instant::now();
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let mcp = gateway.mcp();
    thread::scope(|scope| {
        for _ in 0..abreast {
            scope.spawn(|| {
                while next.fetch_add(1, Relaxed) < sessions {
                    let outcome = client::leak(&mcp, patience);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    let took = start.elapsed();
    let outcomes = outcomes
        .into_inner()
        .map_err(|_| anyhow!("a client panicked"))?;
    let served = outcomes.iter().filter_map(Outcome::served);
    let kept = served.filter(|session| client::answers_again(&mcp, session, AGAIN));
    let kept = kept.count();
    Ok(Course {
        outcomes,
        health: prober.stop()?,
        took,
        kept,
        ended: gateway.ended()?,
    })
}

impl Course {
    /// Sessions that got their tools.
    #[must_use]
    pub fn served(&self) -> usize {
        self.outcomes
            .iter()
            .filter_map(Outcome::served)
            .filter(|session| session.tools > 0)
            .count()
    }

    /// Sessions that got an error.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|one| matches!(one, Outcome::Failed(..)))
            .count()
    }

    /// Sessions that got nothing at all.
    #[must_use]
    pub fn hung(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|one| matches!(one, Outcome::Hung(_)))
            .count()
    }

    /// Different errors, each once.
    #[must_use]
    pub fn errors(&self) -> Vec<&str> {
        let mut errors: Vec<_> = self
            .outcomes
            .iter()
            .filter_map(|one| {
                if let Outcome::Failed(error, _) = one {
                    Some(error.as_str())
                } else {
                    None
                }
            })
            .collect();
        errors.sort_unstable();
        errors.dedup();
        errors
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let health = &self.health;
        write!(
            f,
            "{} served, {} failed, {} hung in {:.1?}; health {} of {} answered, p50 {:.1?}, p99 {:.1?}, max {:.1?}; errors {:?}",
            self.served(),
            self.failed(),
            self.hung(),
            self.took,
            health.latencies.len(),
            health.latencies.len() + health.failures.len(),
            health.percentile(50),
            health.percentile(99),
            health.percentile(100),
            self.errors(),
        )
    }
}
