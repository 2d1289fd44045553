//! Asks every tenth of a second whether the gateway lives, and keeps each answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::gateway::asker;

/// Time between two questions.
const EVERY: Duration = Duration::from_millis(100);
/// An answer later than this is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// A prober at work.
#[derive(Debug)]
pub struct Prober {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Health>,
}

/// What the health endpoint answered.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// How long each answer took, shortest first.
    pub latencies: Vec<Duration>,
    /// What was no answer.
    pub failures: Vec<String>,
}

impl Prober {
    /// Begins to ask.
    #[must_use]
    pub fn start(url: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut health = Health::default();
            let asker = asker(PATIENCE);
            while !stopped.load(Relaxed) {
                let asked = Instant::now();
                match asker.get(&url).call() {
                    Ok(reply) if reply.status() == 200 => health.latencies.push(asked.elapsed()),
                    Ok(reply) => health.failures.push(format!("status {}", reply.status())),
                    Err(error) => health.failures.push(error.to_string()),
                }
                thread::sleep(EVERY.saturating_sub(asked.elapsed()));
            }
            health.latencies.sort();
            health
        });
        Self { stop, thread }
    }

    /// Ends; gives what was answered.
    ///
    /// # Errors
    /// The prober itself broke.
    pub fn stop(self) -> Result<Health> {
        self.stop.store(true, Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("the prober panicked"))
    }
}

impl Health {
    /// The latency that so many in a hundred answers did not exceed.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let of = |millis: &[u64]| Health {
            latencies: millis.iter().copied().map(Duration::from_millis).collect(),
            failures: Vec::new(),
        };
        let hundred: Vec<u64> = (1..=100).collect();
        let check = |millis: &[u64], percent, expected| {
            assert_eq!(
                of(millis).percentile(percent),
                Duration::from_millis(expected)
            );
        };
        check(&hundred, 50, 51);
        check(&hundred, 100, 100);
        check(&[7], 99, 7);
        check(&[], 99, 0);
    }
}
