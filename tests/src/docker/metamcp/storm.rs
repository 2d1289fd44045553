//! Sessions that leak, opened at a pace, each asked for its tools once, and again when all is over.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::{Answer, MetaMcp};
use crate::docker::prober::{Health, Prober};

/// How a storm went.
#[derive(Clone, Debug)]
pub struct Report {
    /// One for each session, in the order in which they were opened.
    pub sessions: Vec<SessionReport>,
    /// What the health endpoint answered meanwhile.
    pub health: Health,
    /// From the first session's beginning to the last one's answer.
    pub took: Duration,
}

/// One session, never ended.
#[derive(Clone, Debug)]
pub struct SessionReport {
    /// What the gateway calls it; none where it could not be opened.
    pub id: Option<String>,
    /// When it was opened, from the storm's beginning.
    pub at: Duration,
    /// The answer to its first `tools/list`.
    pub first: Answer,
    /// The answer to its second one: see [`Report::list_again`].
    pub again: Option<Answer>,
}

impl MetaMcp {
    /// Opens `sessions`, one each `spacing` (all at once where it is zero), and asks each for its
    /// tools at once. Nobody waits for another's answer; each client gives up after `patience`.
    ///
    /// # Errors
    /// A client or the prober broke.
    pub fn storm(&self, sessions: u32, spacing: Duration, patience: Duration) -> Result<Report> {
        let prober = Prober::start(self.health());
        let start = Instant::now();
        let session = |number: u32| {
            thread::sleep((spacing * number).saturating_sub(start.elapsed()));
            let at = start.elapsed();
            match self.open() {
                Ok(id) => SessionReport {
                    at,
                    first: self.list(&id, patience),
                    id: Some(id),
                    again: None,
                },
                Err(error) => SessionReport {
                    at,
                    first: Answer {
                        took: start.elapsed().saturating_sub(at),
                        servers: Vec::new(),
                        error: Some(format!("not opened: {error:#}")),
                    },
                    id: None,
                    again: None,
                },
            }
        };
        let session = &session;
        let joined: Result<Vec<_>> = thread::scope(|scope| {
            let clients: Vec<_> = (0..sessions)
                .map(|number| scope.spawn(move || session(number)))
                .collect();
            let panicked = |_| anyhow!("a client panicked");
            let joined = clients.into_iter();
            joined
                .map(|client| client.join().map_err(panicked))
                .collect()
        });
        let took = start.elapsed();
        Ok(Report {
            sessions: joined?,
            health: prober.stop()?,
            took,
        })
    }
}

impl Report {
    /// Asks each session for its tools a second time, one after the other.
    pub fn list_again(&mut self, gateway: &MetaMcp, patience: Duration) {
        for session in &mut self.sessions {
            let id = session.id.as_deref();
            session.again = id.map(|id| gateway.list(id, patience));
        }
    }

    /// Sessions whose first answer had so many servers.
    #[must_use]
    pub fn first_with(&self, servers: usize) -> usize {
        let firsts = self.sessions.iter().map(|session| &session.first);
        count(firsts, servers)
    }

    /// Sessions whose second answer had so many servers.
    #[must_use]
    pub fn again_with(&self, servers: usize) -> usize {
        let second = self.sessions.iter().filter_map(|one| one.again.as_ref());
        count(second, servers)
    }

    /// The slowest first answer.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        let firsts = self.sessions.iter().map(|session| session.first.took);
        firsts.max().unwrap_or_default()
    }

    /// The errors instead of first answers.
    #[must_use]
    pub fn errors(&self) -> Vec<&str> {
        let firsts = self.sessions.iter();
        firsts
            .filter_map(|session| session.first.error.as_deref())
            .collect()
    }

    /// One of its sessions.
    ///
    /// # Errors
    /// There is none with that number, or it was not opened.
    pub fn id(&self, number: usize) -> Result<&str> {
        let session = self.sessions.get(number);
        session
            .and_then(|session| session.id.as_deref())
            .with_context(|| format!("no session {number}"))
    }
}

fn count<'a>(answers: impl Iterator<Item = &'a Answer>, servers: usize) -> usize {
    answers
        .filter(|one| one.error.is_none() && one.servers.len() == servers)
        .count()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let health = &self.health;
        write!(
            f,
            "{} sessions in {:.1?}, slowest answer {:.1?}; health {} of {} answered, p99 {:.1?}, max {:.1?}; servers listed:",
            self.sessions.len(),
            self.took,
            self.slowest(),
            health.latencies.len(),
            health.latencies.len() + health.failures.len(),
            health.percentile(99),
            health.percentile(100),
        )?;
        for session in &self.sessions {
            write!(f, " [{:.1?}: {}", session.at, session.first)?;
            if let Some(again) = &session.again {
                write!(f, ", then {again}")?;
            }
            write!(f, "]")?;
        }
        Ok(())
    }
}
