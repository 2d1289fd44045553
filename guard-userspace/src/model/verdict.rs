//! What the policy makes of a target's state.

use super::{Decision, FactKind, Level, Stamp};

/// The policy's answer to one input.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// When it was reached.
    pub at: Stamp,
    /// The level that the figures alone ask for.
    pub measured: Level,
    /// The level in force: left later than it is entered.
    pub level: Level,
    /// Why, in words, where the level changes.
    pub why: Option<String>,
    /// Live processes beyond what is healthy.
    pub excess: u64,
    /// What levels go by: excess, or all live processes.
    pub count: u64,
    /// Since when there is pressure, ns of CLOCK_BOOTTIME; `None`: there is none.
    pub pressed_ns: Option<u64>,
    /// The cap that holds while the gate is tightened; `None`: it is not.
    pub tight: Option<u64>,
    /// The cap that memory can carry, once it is fixed.
    pub auto_cap: Option<u64>,
    /// Processes that were judged, by pid, each with its family where it has one.
    pub judged: Vec<(u32, Option<String>)>,
    /// What would have been one more gateway than a target may have.
    pub beyond_gateways: Option<String>,
    /// The count grows and has not fallen for ten minutes.
    pub grows: bool,
    /// A start is over, and what it came to was looked at.
    pub started: bool,
    /// What is worth saying beside the level.
    pub said: Vec<FactKind>,
    /// What shall be done, before the rails have seen it.
    pub decisions: Vec<Decision>,
}
