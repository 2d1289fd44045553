//! What an incident goes by, taken from a target's state.

use crate::config::TargetConfig;
use crate::incident::Seen;
use crate::model::{Deed, Health, Level, Stamp, Verdict};
use crate::policy::{level, pressure, start};
use crate::state::TargetState;

/// How long all must be well where no levels say it, in ns.
const CLEAR_NS: u64 = 60_000_000_000;

/// The escalation of what explodes again after a restart.
const EXPLODED_AGAIN: u8 = 3;

/// Of a target after a step, whose incident has that escalation.
pub fn seen<'a>(
    state: &'a TargetState,
    config: &'a TargetConfig,
    verdict: &Verdict,
    now: Stamp,
    escalation: u8,
) -> Seen<'a> {
    let levels = config.processes.as_ref();
    let ns = |time: core::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (ends, deeds) = (state.ends(), state.deeds());
    let by_memory = level::by_memory(state, config);
    let storm = state.storm_since(now);
    let ended = storm.and_then(|since| deeds.first_signalled(since));
    let held_for = levels.map_or(CLEAR_NS, |levels| ns(levels.held_for));
    Seen {
        at: now,
        name: &config.name,
        is_up: state.cgroup().is_some(),
        level: verdict.level,
        why: state.level_why(),
        storms: storm.is_some(),
        storms_on: ended.is_some_and(|at| now.boot_ns >= at.saturating_add(held_for)),
        live: state.counters().live,
        count: verdict.count,
        critical: levels.map(|levels| levels.critical),
        memory: state.memory().map_or(0, |memory| memory.used()),
        is_heavy: by_memory.is_some_and(|(level, _)| level >= Level::Warning),
        grows: verdict.grows,
        is_ill: matches!(state.health(), Health::Unhealthy | Health::Starting),
        // Counting families with each input of a storm would cost too much.
        again: (escalation < EXPLODED_AGAIN)
            .then(|| start::again(state, verdict.measured, now))
            .flatten(),
        host_suffers: pressure::host_suffers(state),
        is_cgroup: !config.source.is_container(),
        killed: ends.killed().saturating_add(ends.forced()),
        retired: ends.retired(),
        restarts: deeds.restarted(),
        recreated: matches!(deeds.last_restart(), Some(Deed::Recreate { .. })),
        clear_ns: levels.map_or(CLEAR_NS, |levels| ns(levels.clear_after)),
    }
}
