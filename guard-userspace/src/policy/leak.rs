//! The slow leak: a family whose number of trees only grows.
//!
//! The leak of MetaMCP's issue 162 was 140 processes a day, one tree of three in 31 minutes: no
//! threshold, no rate and no look shows it before it is days old. Its low of two hours does: it rises
//! with each 100 minutes, five times in a row, and little ends meanwhile. People come in
//! the morning, too, but not for ten hours on end, and they go; a session that is opened and stays is
//! one step. What is within `allowed_instances` is healthy, whatever it does. All these times go with
//! `leak_over`, and are those of its default.

use crate::config::TargetConfig;
use crate::model::{FactKind, Stamp};
use crate::state::TargetState;
use crate::state::leaks::Series;
use crate::state::trees::UNKNOWN;

/// Lows that are compared, each one step after the one before.
const LOWS: usize = 6;

/// From one to the next, in stretches: 100 minutes.
const STEP: usize = 10;

/// Least that it must have risen by: a tree an hour.
const LEAST: u64 = 8;

/// Most trees that may end meanwhile for each by which it rises. Of simulated months of people one in five
/// had such a rise at some time, and of 600 none with up to three ends for each; with two, ten of ten
/// leaks among such people were found, with one nine of ten were not.
const FALLS: u64 = 2;

/// Longest command line that is said, in characters.
const LONGEST: usize = 200;

/// How a family grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rise {
    /// Trees now.
    pub trees: u64,
    /// By how many its low has risen.
    pub by: u64,
    /// In how many seconds.
    pub seconds: u64,
}

impl Rise {
    /// Trees in a day.
    #[must_use]
    pub const fn per_day(&self) -> u64 {
        let day = self.by.saturating_mul(86_400);
        match day.checked_div(self.seconds) {
            Some(per_day) => per_day,
            None => 0,
        }
    }
}

/// Whether a family leaks, of which so many trees are healthy; a stretch is of so many seconds.
#[must_use]
pub fn rise(series: &Series, allowed: u64, stretch_s: u64) -> Option<Rise> {
    if !series.is_known() {
        return None;
    }
    let mut lows = (0..LOWS).map(|at| series.two_hours(at * STEP));
    let first = lows.next().flatten()?;
    let mut last = first;
    for low in lows {
        last = low.filter(|low| *low > last)?;
    }
    let by = last - first;
    let stays = series.fell() <= by.saturating_mul(FALLS);
    let steps = u64::try_from((LOWS - 1) * STEP).unwrap_or(u64::MAX);
    (by >= LEAST && stays && last > allowed).then_some(Rise {
        trees: series.count(),
        by,
        seconds: steps.saturating_mul(stretch_s),
    })
}

/// What is to be said of families that leak: once of each, until it is over.
#[must_use]
pub fn said(state: &TargetState, config: &TargetConfig, now: Stamp) -> Vec<FactKind> {
    if !state.leaks().is_fresh() {
        return Vec::new();
    }
    let all = state.leaks().families();
    let news = all.filter(|(family, series)| *family != UNKNOWN && !series.is_told());
    let leaks = news.filter_map(|(family, series)| {
        let rise = rise(series, config.allowed_instances, state.leaks().stretch_s())?;
        let ms = i64::try_from(rise.seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Some(FactKind::Leak {
            family: family.to_owned(),
            command: command(state, family),
            trees: rise.trees,
            per_day: rise.per_day(),
            since_ms: now.wall_ms.saturating_sub(ms),
            max_instances: config.allowed_instances,
        })
    });
    leaks.collect()
}

/// The command line of its youngest tree's root, masked as all are.
fn command(state: &TargetState, family: &str) -> String {
    let holdings = state.trees().holdings(state.kin());
    let roots = holdings.get(family).map(|holding| holding.roots.as_slice());
    let root = roots
        .and_then(<[u32]>::last)
        .and_then(|pid| state.kin().get(*pid));
    let line = root.map_or_else(String::new, |root| root.argv.join(" "));
    line.chars().take(LONGEST).collect()
}

/// The family that is called a leak, where there is one.
#[must_use]
pub fn named(state: &TargetState) -> Option<&str> {
    let mut told = state.leaks().families().filter(|(_, one)| one.is_told());
    told.next().map(|(family, _)| family)
}

#[cfg(test)]
mod tests;
