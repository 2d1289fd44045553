//! How long something took, many times.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{Cgroup, place};

/// One time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    /// From call to return.
    pub took: Duration,
    /// The errno, where it failed.
    pub failed: Option<i32>,
}

/// The quantiles of many times, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// How many there were.
    pub n: usize,
    /// The median.
    pub p50: u64,
    /// Of a hundred, one takes longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// Errnos and how often each was met.
    pub failed: BTreeMap<i32, usize>,
}

impl Times {
    /// Sums them up.
    #[must_use]
    pub fn of(all: Vec<Once>) -> Self {
        let mut failed = BTreeMap::new();
        for errno in all.iter().filter_map(|once| once.failed) {
            *failed.entry(errno).or_default() += 1;
        }
        let nanos = |once: &Once| u64::try_from(once.took.as_nanos()).unwrap_or(u64::MAX);
        let mut took: Vec<u64> = all.iter().map(nanos).collect();
        took.sort_unstable();
        let at = |hundredth: usize| {
            let index = (took.len() * hundredth / 100).min(took.len().saturating_sub(1));
            took.get(index).copied().unwrap_or_default()
        };
        Self {
            n: took.len(),
            p50: at(50),
            p99: at(99),
            max: at(100),
            failed,
        }
    }
}

/// Runs the program `stopwatch` with these words, in a mount namespace of its own; in that cgroup, if
/// one is named.
///
/// # Errors
/// It is not built, or failed.
pub fn times(cgroup: Option<&Cgroup>, words: &[&str]) -> Result<Times> {
    let mut command = Command::new(place::program("GUARD_STOPWATCH", "stopwatch")?);
    command.arg("--apart");
    if let Some(cgroup) = cgroup {
        command.arg("--cgroup").arg(cgroup.path());
    }
    let output = command.args(words).stderr(Stdio::inherit()).output();
    let output = output.context("starting stopwatch")?;
    ensure!(
        output.status.success(),
        "stopwatch {words:?}: {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("what stopwatch said")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_there_is() {
        let once = |ns, failed| Once {
            took: Duration::from_nanos(ns),
            failed,
        };
        assert_eq!(Times::of(Vec::new()), Times::default());
        let times = Times::of((1..=200).rev().map(|ns| once(ns, None)).collect());
        assert_eq!(
            (times.n, times.p50, times.p99, times.max),
            (200, 101, 199, 200)
        );
        let times = Times::of(vec![once(5, Some(11)), once(4, None), once(3, Some(11))]);
        assert_eq!((times.p50, times.max), (4, 5));
        assert_eq!(times.failed, BTreeMap::from([(11, 2)]));
    }
}
