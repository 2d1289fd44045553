//! Reading a target's state.

use super::attempt::Attempt;
use super::deeds::Deeds;
use super::ends::Ends;
use super::good;
use super::kin::Kin;
use super::leaks::Leaks;
use super::target::{Cgroup, Memory, Proof, Start, TargetState};
use super::trees::{Trees, UNKNOWN};
use super::trend::Trend;
use super::watched::Watched;
use crate::model::kin::Survey;
use crate::model::{Health, Level, Stamp};
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

    /// Live processes beyond what is healthy.
    #[must_use]
    pub const fn excess(&self) -> u64 {
        self.excess
    }

    /// The processes that roles and families come from.
    #[must_use]
    pub const fn kin(&self) -> &Kin {
        &self.kin
    }

    /// Its trees.
    #[must_use]
    pub const fn trees(&self) -> &Trees {
        &self.trees
    }

    /// What is ended by hand.
    #[must_use]
    pub const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// What was seen of its trees when they were looked at.
    #[must_use]
    pub const fn watched(&self) -> &Watched {
        &self.watched
    }

    /// What is done to it as a whole.
    #[must_use]
    pub const fn deeds(&self) -> &Deeds {
        &self.deeds
    }

    /// What the container's own health check says.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// `full avg10` of the host's memory pressure, in hundredths of a percent.
    #[must_use]
    pub const fn host_full_avg10(&self) -> u64 {
        self.host_full_avg10
    }

    /// Since when there is pressure, ns of CLOCK_BOOTTIME; `None`: there is none.
    #[must_use]
    pub const fn pressed_ns(&self) -> Option<u64> {
        self.pressed_ns
    }

    /// Whether trees and memory were looked at since the agent ended a tree: what is chosen before that
    /// may be gone, or more than enough.
    #[must_use]
    pub const fn sees_what_is_left(&self) -> bool {
        !self.unseen.0 && !self.unseen.1
    }

    /// How the count that levels go by has moved of late.
    #[must_use]
    pub const fn trend(&self) -> &Trend {
        &self.trend
    }

    /// How many trees of each family there were.
    #[must_use]
    pub const fn leaks(&self) -> &Leaks {
        &self.leaks
    }

    /// When it was said last that the cap is too small, ns of CLOCK_BOOTTIME.
    #[must_use]
    pub const fn cap_told_ns(&self) -> Option<u64> {
        self.cap_told_ns
    }

    /// Whether it was looked at what this start came to.
    #[must_use]
    pub const fn is_start_judged(&self) -> bool {
        self.start_judged
    }

    /// The last start that went well.
    #[must_use]
    pub const fn good_start(&self) -> Option<&good::Start> {
        self.good_start.as_ref()
    }

    /// The family that holds most slots, in words: `32 slots are held by 8 trees of npx x`. Empty
    /// where no family is known.
    #[must_use]
    pub fn holders(&self) -> String {
        let families = self.trees.holdings(&self.kin).into_iter();
        let known = families.filter(|(family, _)| *family != UNKNOWN);
        let most = known.max_by_key(|(_, holding)| holding.slots);
        most.map_or_else(String::new, |(family, holding)| {
            let (slots, trees) = (holding.slots, holding.roots.len());
            format!("{slots} slots are held by {trees} trees of {family}")
        })
    }

    /// Whether it was said that it has as many gateways as it may have.
    #[must_use]
    pub const fn gateways_full(&self) -> bool {
        self.gateways_full
    }

    /// What was found there just now and is not judged yet.
    #[must_use]
    pub const fn survey(&self) -> Option<&Survey> {
        self.survey.as_ref()
    }

    /// The container's start, where it is known.
    #[must_use]
    pub const fn start(&self) -> Option<Start> {
        self.start
    }

    /// The cap that was fixed when the container had started; `None`: it is starting, or the cap is
    /// a number of the config's.
    #[must_use]
    pub const fn auto_cap(&self) -> Option<u64> {
        self.auto_cap
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

    /// Whether a spawn was refused just now since no slot was free.
    #[must_use]
    pub fn is_refused_at_cap(&self, now: Stamp) -> bool {
        self.storm.at_cap(now.boot_ns)
    }

    /// Since when the figures alone have asked for `level` or worse without a break, ns of
    /// CLOCK_BOOTTIME; `None`: they do not.
    #[must_use]
    pub fn measured_since(&self, level: Level) -> Option<u64> {
        let all = Level::ALL.into_iter().zip(self.measured_ns);
        all.filter(|(of, _)| *of == level).find_map(|(_, at)| at)
    }

    /// The cap that holds while the gate is tightened; `None`: it is not.
    #[must_use]
    pub const fn tight(&self) -> Option<u64> {
        self.tight
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
