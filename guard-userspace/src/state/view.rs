//! Reading a target's state.

use super::attempt::Attempt;
use super::target::{Cgroup, Memory, Proof, TargetState};
use crate::model::{Level, Stamp};
use guard_common::{GateLimits, GateMode, TargetCounters};
use std::collections::BTreeMap;

impl TargetState {
    /// The cgroup, while it is there and counted.
    #[must_use]
    pub const fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup.as_ref()
    }

    /// Totals and gauges as last seen.
    #[must_use]
    pub const fn counters(&self) -> &TargetCounters {
        self.counts.seen()
    }

    /// Live processes beyond what is healthy: all of them, until families are known.
    #[must_use]
    pub const fn excess(&self) -> u64 {
        self.counts.seen().live
    }

    /// Slots taken.
    #[must_use]
    pub const fn committed(&self) -> u64 {
        self.committed
    }

    /// Spawns per second at `now`.
    #[must_use]
    pub const fn spawn_rate(&self, now: Stamp) -> u64 {
        self.rate.at(now.second())
    }

    /// Whether the gate holds the target at its cap: no slot is free, or one was refused just now.
    #[must_use]
    pub fn held_at_cap(&self, now: Stamp) -> bool {
        let full = self
            .in_force
            .is_some_and(|limits| self.cgroup.is_some() && self.committed >= limits.max_processes);
        full || self.storm.at_cap(now.boot_ns)
    }

    /// Start of the storm that runs at `now`, in nanoseconds of CLOCK_BOOTTIME.
    #[must_use]
    pub fn storm_since(&self, now: Stamp) -> Option<u64> {
        self.storm.since(now.boot_ns)
    }

    /// Memory as last read.
    #[must_use]
    pub const fn memory(&self) -> Option<Memory> {
        self.memory
    }

    /// What the canary has shown; `None` until it ran.
    #[must_use]
    pub const fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// The limits in force; `None`: none yet.
    #[must_use]
    pub const fn in_force(&self) -> Option<&GateLimits> {
        self.in_force.as_ref()
    }

    /// The mode in force. Without limits nothing is refused, which is observing.
    #[must_use]
    pub fn mode(&self) -> GateMode {
        self.in_force
            .and_then(|limits| GateMode::from_u32(limits.mode))
            .unwrap_or(GateMode::Observe)
    }

    /// What is under way, or did not succeed.
    #[must_use]
    pub const fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// The level.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Why that level, in words.
    #[must_use]
    pub fn level_why(&self) -> &str {
        &self.level_why
    }

    /// The levels from the worst down, each with the moment at which the figures last asked for it
    /// or worse, in nanoseconds of CLOCK_BOOTTIME.
    pub fn reached(&self) -> impl Iterator<Item = (Level, u64)> {
        Level::ALL
            .into_iter()
            .zip(self.reached_ns)
            .rev()
            .filter_map(|(level, at)| at.map(|at| (level, at)))
    }

    /// What could not be observed, by place.
    #[must_use]
    pub const fn lost(&self) -> &BTreeMap<&'static str, u64> {
        &self.lost
    }
}
