//! How many trees of each family there were: what each ten minutes came down to, over half a day. These
//! are the times where `leak_over` is ten hours, as it is by default; they go with it.
//! Bounded: 62 numbers of each family, and as many families as are told apart.

use super::kin::Kin;
use super::trees::Trees;
use crate::config::protocol::LEAK_OVER;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

/// Stretches of `leak_over`.
const STRETCHES: u64 = 60;

/// Looks in one stretch, where a second is not too long for that.
const LOOKS: u64 = 10;

/// Stretches that are remembered.
pub const REMEMBERED: usize = 62;

/// Stretches of two hours.
pub const TWO_HOURS: usize = 12;

/// Stretches after which a leak that did not go on is over: six hours.
const OVER: usize = 36;

/// Families that are followed; no more are told apart.
const MOST_FAMILIES: usize = 80;

/// Of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaks {
    /// Seconds of one stretch.
    stretch_s: u64,
    /// When it was looked last, in seconds of CLOCK_BOOTTIME.
    looked_s: u64,
    families: BTreeMap<String, Series>,
    fresh: bool,
}

/// Of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Trees when it was looked last, with those that the agent has ended.
    count: u64,
    /// Trees that the agent has ended: they have not gone by themselves, and more of them come.
    ended: u64,
    running: Stretch,
    stretches: VecDeque<Stretch>,
    /// The two hours' low when it was called a leak.
    told: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stretch {
    low: u64,
    /// By how much the count fell, all falls together.
    fell: u64,
}

impl Series {
    /// Trees when it was looked last.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count.saturating_sub(self.ended)
    }

    /// Whether all of the time is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.stretches.len() == REMEMBERED
    }

    /// By how much the count fell, all falls of the time together.
    #[must_use]
    pub fn fell(&self) -> u64 {
        self.stretches.iter().map(|one| one.fell).sum()
    }

    /// The low of two hours that began `from` stretches after all that is known.
    #[must_use]
    pub fn two_hours(&self, from: usize) -> Option<u64> {
        let all = self.stretches.iter().skip(from).take(TWO_HOURS);
        all.map(|one| one.low).min()
    }

    /// Whether it was called a leak, and is not over.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Takes the count of now.
    pub fn see(&mut self, trees: u64) {
        let count = trees.saturating_add(self.ended);
        self.running.low = self.running.low.min(count);
        self.running.fell += self.count.saturating_sub(count);
        self.count = count;
    }

    /// A stretch is over.
    pub fn turn(&mut self) {
        if self.stretches.len() == REMEMBERED {
            self.stretches.pop_front();
        }
        self.stretches.push_back(self.running);
        self.running = Stretch {
            low: self.count,
            fell: 0,
        };
        let last = self
            .two_hours(self.stretches.len().saturating_sub(TWO_HOURS))
            .unwrap_or(0);
        let before = self.stretches.len().checked_sub(OVER + TWO_HOURS);
        let before = before.and_then(|from| self.two_hours(from));
        if self.told.is_some_and(|told| last < told) || before == Some(last) {
            self.told = None;
        }
    }

    /// It was called a leak.
    pub fn tell(&mut self) {
        let from = self.stretches.len().saturating_sub(TWO_HOURS);
        self.told = self.two_hours(from);
    }

    /// The agent has ended one of its trees.
    pub const fn end(&mut self) {
        self.ended = self.ended.saturating_add(1);
    }

    fn is_nothing(&self) -> bool {
        self.count == 0 && self.stretches.iter().all(|one| one.low == 0)
    }
}

impl Default for Leaks {
    fn default() -> Self {
        Self::over(LEAK_OVER)
    }
}

impl Leaks {
    /// None is known; a leak shows in that time.
    #[must_use]
    pub fn over(leak_over: Duration) -> Self {
        Self {
            stretch_s: (leak_over.as_secs() / STRETCHES).max(1),
            looked_s: 0,
            families: BTreeMap::new(),
            fresh: false,
        }
    }

    /// Seconds of one stretch.
    #[must_use]
    pub const fn stretch_s(&self) -> u64 {
        self.stretch_s
    }

    /// The families, each with what is known of it.
    pub fn families(&self) -> impl Iterator<Item = (&str, &Series)> {
        self.families
            .iter()
            .map(|(family, series)| (family.as_str(), series))
    }

    /// Whether a stretch was over since the policy looked at them last.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The policy has looked at them, and says so of these.
    pub fn told<'a>(&mut self, families: impl Iterator<Item = &'a str>) {
        self.fresh = false;
        for family in families {
            if let Some(series) = self.families.get_mut(family) {
                series.tell();
            }
        }
    }

    /// The agent has ended one of that family.
    pub fn ended(&mut self, family: &str) {
        if let Some(series) = self.families.get_mut(family) {
            series.end();
        }
    }

    /// Takes what is there at `second` of CLOCK_BOOTTIME, ten times in a stretch.
    pub fn see(&mut self, second: u64, trees: &Trees, kin: &Kin) {
        let looks_s = (self.stretch_s / LOOKS).max(1);
        if second / looks_s == self.looked_s / looks_s {
            return;
        }
        let before = core::mem::replace(&mut self.looked_s, second);
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, family) in trees.with_families(kin) {
            *counts.entry(family).or_default() += 1;
        }
        for family in counts.keys() {
            if self.families.len() < MOST_FAMILIES && !self.families.contains_key(*family) {
                self.families
                    .insert((*family).to_owned(), Series::default());
            }
        }
        for (family, series) in &mut self.families {
            series.see(counts.get(family.as_str()).copied().unwrap_or(0));
        }
        if before != 0 && second / self.stretch_s != before / self.stretch_s {
            self.families.values_mut().for_each(Series::turn);
            self.families.retain(|_, series| !series.is_nothing());
            self.fresh = true;
        }
    }

    /// Nothing is there any more.
    pub fn clear(&mut self) {
        self.families.clear();
    }
}
