//! A target's counts as last seen and as last told.
//!
//! Lines of the log carry differences, made here from totals: a lost sample loses its second's
//! shape and no event, for the next line carries what it would have said.

use guard_common::TargetCounters;

/// Seconds of silence after which an idle line is due.
pub const IDLE_SECONDS: u64 = 60;

/// Counts as last seen and as last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    seen: TargetCounters,
    told: TargetCounters,
    sampled_second: u64,
    told_second: u64,
}

/// What one line of the log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Differences since the line before; gauges as they are.
    pub counts: TargetCounters,
    /// Seconds it is of: 1 when active, 60 and more when idle.
    pub seconds: u64,
}

impl Counts {
    /// Totals and gauges as last seen.
    #[must_use]
    pub const fn seen(&self) -> &TargetCounters {
        &self.seen
    }

    /// The last second that a sample was of.
    #[must_use]
    pub const fn sampled_second(&self) -> u64 {
        self.sampled_second
    }

    /// Nothing is alive any more.
    pub fn clear_gauges(&mut self) {
        let gone = TargetCounters {
            peak_live: self.seen.peak_live,
            ..TargetCounters::default()
        };
        self.seen = newest(&self.seen, &gone, false);
    }

    /// Begins the wait for the first idle line.
    pub const fn begin(&mut self, second: u64) {
        self.told_second = second;
    }

    /// Begins at these totals: what led to them was not seen.
    pub const fn resume(&mut self, counters: &TargetCounters) {
        self.seen = *counters;
        self.told = *counters;
    }

    /// Takes the totals at the end of `second`; a line is due unless it says nothing new.
    pub fn sample(&mut self, second: u64, counters: &TargetCounters) -> Option<Stretch> {
        let late = second < self.sampled_second;
        self.seen = newest(&self.seen, counters, late);
        let counts = difference(&self.told, &self.seen);
        let again = second <= self.sampled_second && is_silent(&counts);
        self.sampled_second = self.sampled_second.max(second);
        (!again).then(|| self.tell(counts, 1, second.saturating_add(1)))
    }

    /// Says that it is `second` now; a line is due after [`IDLE_SECONDS`] without one.
    pub fn idle(&mut self, second: u64) -> Option<Stretch> {
        let silent = second.saturating_sub(self.told_second);
        if silent < IDLE_SECONDS {
            return None;
        }
        Some(self.tell(difference(&self.told, &self.seen), silent, second))
    }

    fn tell(&mut self, counts: TargetCounters, seconds: u64, until: u64) -> Stretch {
        self.told = self.seen;
        self.told_second = self.told_second.max(until);
        Stretch { counts, seconds }
    }
}

/// `new` beside `old`: totals never go back; a late sample's gauges are stale.
fn newest(old: &TargetCounters, new: &TargetCounters, late: bool) -> TargetCounters {
    let gauges = if late { old } else { new };
    TargetCounters {
        spawns: old.spawns.max(new.spawns),
        threads: old.threads.max(new.threads),
        execs: old.execs.max(new.execs),
        exits: old.exits.max(new.exits),
        denied: old.denied.max(new.denied),
        condemned: old.condemned.max(new.condemned),
        killed: old.killed.max(new.killed),
        would_refuse: old.would_refuse.max(new.would_refuse),
        entered: old.entered.max(new.entered),
        left: old.left.max(new.left),
        peak_live: old.peak_live.max(new.peak_live),
        lost: old.lost.max(new.lost),
        sampled: old.sampled.max(new.sampled),
        table_full: old.table_full.max(new.table_full),
        ..*gauges
    }
}

/// Totals of `new` less those of `old`; gauges (and the peak) of `new`.
fn difference(old: &TargetCounters, new: &TargetCounters) -> TargetCounters {
    TargetCounters {
        spawns: new.spawns.saturating_sub(old.spawns),
        threads: new.threads.saturating_sub(old.threads),
        execs: new.execs.saturating_sub(old.execs),
        exits: new.exits.saturating_sub(old.exits),
        denied: new.denied.saturating_sub(old.denied),
        condemned: new.condemned.saturating_sub(old.condemned),
        killed: new.killed.saturating_sub(old.killed),
        would_refuse: new.would_refuse.saturating_sub(old.would_refuse),
        entered: new.entered.saturating_sub(old.entered),
        left: new.left.saturating_sub(old.left),
        lost: new.lost.saturating_sub(old.lost),
        sampled: new.sampled.saturating_sub(old.sampled),
        table_full: new.table_full.saturating_sub(old.table_full),
        ..*new
    }
}

/// Whether nothing happened.
fn is_silent(difference: &TargetCounters) -> bool {
    let gauges_alone = TargetCounters {
        live: difference.live,
        guests: difference.guests,
        tasks: difference.tasks,
        trees: difference.trees,
        parked: difference.parked,
        condemned_now: difference.condemned_now,
        peak_live: difference.peak_live,
        ..TargetCounters::default()
    };
    *difference == gauges_alone
}
