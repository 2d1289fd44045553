//! What a fork takes for whoever forks: fork, end, wait.

use anyhow::{Result, ensure};
use guard_tests::Cgroup;
use guard_tests::bench::{Table, Times, times};
use guard_tests::guarded::{Guarded, WIDE};

/// Forks of one figure.
const FORKS: &str = "5000";

/// One round: without a guard, beside a target, in one.
pub fn round(table: &mut Table) -> Result<()> {
    let outside = Cgroup::new("bench-outside")?;
    let inside = Cgroup::new("bench-inside")?;
    let forks = |cgroup: &Cgroup| times(Some(cgroup), &["forks", FORKS]);
    quantiles(table, "no guard", &forks(&outside)?)?;
    let guarded = Guarded::start(&inside, WIDE, &[])?;
    quantiles(table, "not watched", &forks(&outside)?)?;
    quantiles(table, "watched", &forks(&inside)?)?;
    guarded.agent.stop_cleanly().map(drop)
}

fn quantiles(table: &mut Table, what: &str, times: &Times) -> Result<()> {
    ensure!(times.failed.is_empty(), "{what}: {times:?}");
    for (quantile, ns) in [("p50", times.p50), ("p99", times.p99)] {
        let us = crate::us(ns);
        table.add(
            &format!("fork, end and wait, {what}, {quantile}"),
            "µs",
            us,
            None,
        );
    }
    Ok(())
}
