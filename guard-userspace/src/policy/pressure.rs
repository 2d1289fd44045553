//! Whether the target suffers, or the host by it, and how long a tree must then do nothing to be
//! called idle.

use super::level;
use crate::config::TargetConfig;
use crate::model::{Level, Stamp};
use crate::state::TargetState;
use core::time::Duration;

/// Share of 10 s in which all of the host waited for memory, in hundredths of a percent, from which on
/// the host suffers. CPU pressure says nothing: twenty servers that boot have all of it (workload.md).
const HOST_SUFFERS: u64 = 1_000;

/// Pressure that goes on for so long is lasting, in ns.
const LASTING_NS: u64 = 30_000_000_000;

/// Since when there is pressure at `now`, ns of CLOCK_BOOTTIME: spawns are being refused for want of a
/// slot, memory is at critical, or the host suffers.
#[must_use]
pub fn since(state: &TargetState, config: &TargetConfig, now: Stamp) -> Option<u64> {
    state.cgroup()?;
    let is_on = state.is_refused_at_cap(now)
        || level::by_memory(state, config).is_some_and(|(level, _)| level >= Level::Critical)
        || host_suffers(state);
    is_on.then(|| state.pressed_ns().unwrap_or(now.boot_ns))
}

/// Whether all of the host waits for memory.
#[must_use]
pub const fn host_suffers(state: &TargetState) -> bool {
    state.host_full_avg10() >= HOST_SUFFERS
}

/// How long a tree's leaves must do nothing to be called idle.
#[must_use]
pub fn idle_after(pressed_ns: Option<u64>, config: &TargetConfig, now: Stamp) -> Duration {
    let after = &config.idle_after;
    match pressed_ns {
        None => after.calm,
        Some(since) if now.boot_ns < since.saturating_add(LASTING_NS) => after.pressure,
        Some(_) => after.lasting,
    }
}
