//! Targets within targets: what the outer one's counts are made of.
//!
//! The kernel side counts each process for one target, the innermost: a fork pays for one. So the outer
//! one's counts are summed here: its own, those of the targets within it, and what it is to keep of (or
//! must not be told of) those that were within it for a time. Totals never go back by that.

use crate::model::TargetId;
use guard_common::TargetCounters;
use guard_common::life::Inside;
use std::collections::BTreeMap;

/// Which targets are within which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    all: BTreeMap<TargetId, Inside>,
    /// What each had counted when it was last counted nowhere.
    before: BTreeMap<TargetId, TargetCounters>,
}

/// Totals that are summed, in the order of [`Inside::carry`]. What is told of records is each one's own.
fn totals(of: &mut TargetCounters) -> [&mut u64; 11] {
    [
        &mut of.spawns,
        &mut of.threads,
        &mut of.execs,
        &mut of.exits,
        &mut of.denied,
        &mut of.condemned,
        &mut of.killed,
        &mut of.would_refuse,
        &mut of.entered,
        &mut of.left,
        &mut of.table_full,
    ]
}

fn gauges(of: &mut TargetCounters) -> [&mut u64; 6] {
    [
        &mut of.live,
        &mut of.guests,
        &mut of.tasks,
        &mut of.trees,
        &mut of.parked,
        &mut of.condemned_now,
    ]
}

/// Who is there, and came once or will go once.
const fn alive(counters: &TargetCounters) -> u64 {
    let TargetCounters {
        live,
        guests,
        condemned_now,
        ..
    } = counters;
    live.wrapping_add(*guests).wrapping_add(*condemned_now)
}

/// Adds what was counted elsewhere, of which nobody is alive any more as far as this is concerned.
fn keep(inside: &mut Inside, counted: &TargetCounters) {
    let mut all = *counted;
    all.left = all.left.wrapping_add(alive(counted));
    for (carry, counted) in inside.carry.iter_mut().zip(totals(&mut all)) {
        *carry = carry.wrapping_add(*counted);
    }
}

impl Contents {
    /// As an earlier agent has left it.
    #[must_use]
    pub fn of(left: BTreeMap<u32, Inside>) -> Self {
        let all = left
            .into_iter()
            .map(|(slot, inside)| (TargetId(slot), inside));
        Self {
            all: all.collect(),
            before: BTreeMap::new(),
        }
    }

    /// What is within a target, to be left to a later agent.
    #[must_use]
    pub fn inside(&self, outer: TargetId) -> Inside {
        self.all.get(&outer).copied().unwrap_or_default()
    }

    /// Targets within a target.
    pub fn inner(&self, outer: TargetId) -> impl Iterator<Item = TargetId> + use<> {
        self.inside(outer).slots().map(TargetId)
    }

    /// Targets that have others within them.
    pub fn outers(&self) -> impl Iterator<Item = TargetId> {
        let has = self
            .all
            .iter()
            .filter(|(_, inside)| inside.slots().next().is_some());
        has.map(|(id, _)| *id)
    }

    /// Targets that a target is within.
    pub fn around(&self, inner: TargetId) -> impl Iterator<Item = TargetId> {
        let has = self
            .all
            .iter()
            .filter(move |(_, inside)| inside.has(inner.0));
        has.map(|(id, _)| *id)
    }

    /// Nothing of this target is counted anywhere now; these are its counts.
    pub fn is_nowhere(&mut self, id: TargetId, counters: &TargetCounters) {
        self.before.insert(id, *counters);
    }

    /// What it had counted when it was last counted nowhere.
    #[must_use]
    pub fn before(&self, id: TargetId) -> TargetCounters {
        self.before.get(&id).copied().unwrap_or_default()
    }

    /// The inner one is counted in the outer one from now on. What it had counted by then is not: whoever
    /// is alive of it has entered.
    pub fn join(&mut self, outer: TargetId, inner: TargetId, by_then: &TargetCounters) {
        let inside = self.all.entry(outer).or_default();
        if inside.has(inner.0) {
            return;
        }
        inside.set(inner.0, true);
        let mut base = *by_then;
        base.entered = base.entered.wrapping_sub(alive(by_then));
        for (carry, counted) in inside.carry.iter_mut().zip(totals(&mut base)) {
            *carry = carry.wrapping_sub(*counted);
        }
    }

    /// The inner one is not counted in the outer one any more, which keeps what it was told until now:
    /// whoever is alive of it has left.
    pub fn part(&mut self, outer: TargetId, inner: TargetId, by_now: &TargetCounters) {
        let Some(inside) = self.all.get_mut(&outer) else {
            return;
        };
        if !inside.has(inner.0) {
            return;
        }
        inside.set(inner.0, false);
        keep(inside, by_now);
    }

    /// A target goes on from what it had counted under another build of the kernel side, where nobody is
    /// counted any more: whoever was alive has left, and enters here.
    pub fn goes_on_from(&mut self, id: TargetId, earlier: &TargetCounters) {
        keep(self.all.entry(id).or_default(), earlier);
    }

    /// A target's counts with those of the targets within it. `is_up`: it is counted now, and so is who
    /// is alive in it. Its peak stays its own, since peaks at different moments have no sum.
    pub fn whole(
        &self,
        outer: TargetId,
        own: &TargetCounters,
        is_up: bool,
        counters: impl Fn(TargetId) -> Option<TargetCounters>,
    ) -> TargetCounters {
        let mut whole = *own;
        let Some(inside) = self.all.get(&outer) else {
            return whole;
        };
        for (total, carry) in totals(&mut whole).into_iter().zip(inside.carry) {
            *total = total.wrapping_add(carry);
        }
        for mut its in self.inner(outer).filter_map(counters) {
            for (total, more) in totals(&mut whole).into_iter().zip(totals(&mut its)) {
                *total = total.wrapping_add(*more);
            }
            if is_up {
                for (gauge, more) in gauges(&mut whole).into_iter().zip(gauges(&mut its)) {
                    *gauge = gauge.wrapping_add(*more);
                }
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: TargetId = TargetId(3);
    const INNER: TargetId = TargetId(130);

    fn counters(spawns: u64, exits: u64, entered: u64, left: u64) -> TargetCounters {
        let live = spawns + entered - exits - left;
        TargetCounters {
            spawns,
            exits,
            entered,
            left,
            live,
            tasks: 2 * live,
            peak_live: 40,
            ..TargetCounters::default()
        }
    }

    /// Its totals, and who lives in it.
    fn seen(contents: &Contents, own: TargetCounters, inner: TargetCounters) -> [u64; 5] {
        let whole = contents.whole(OUTER, &own, true, |id| (id == INNER).then_some(inner));
        assert_eq!(whole.peak_live, own.peak_live);
        assert_eq!(whole.tasks, 2 * whole.live);
        let [came, gone] = [whole.spawns + whole.entered, whole.exits + whole.left];
        assert_eq!(came - gone, whole.live, "{whole:?}");
        [
            whole.spawns,
            whole.exits,
            whole.entered,
            whole.left,
            whole.live,
        ]
    }

    #[test]
    fn who_is_alive_has_entered_with_the_target_and_leaves_with_it() {
        let mut contents = Contents::default();
        let own = counters(10, 5, 1, 0);
        let inner = counters(1_000, 900, 7, 100);
        assert_eq!(seen(&contents, own, inner), [10, 5, 1, 0, 6]);
        // Seven live in it.
        contents.join(OUTER, INNER, &inner);
        assert_eq!(seen(&contents, own, inner), [10, 5, 8, 0, 13]);
        let inner = counters(1_020, 915, 8, 100);
        assert_eq!(seen(&contents, own, inner), [30, 20, 9, 0, 19]);
        contents.part(OUTER, INNER, &inner);
        assert_eq!(seen(&contents, own, inner), [30, 20, 9, 13, 6]);
        // What it counts from then on is its own.
        let later = counters(2_000, 1_900, 8, 100);
        assert_eq!(seen(&contents, own, later), [30, 20, 9, 13, 6]);
        contents.join(OUTER, INNER, &later);
        assert_eq!(seen(&contents, own, later), [30, 20, 17, 13, 14]);
    }

    #[test]
    fn to_join_or_part_twice_changes_nothing() {
        let mut contents = Contents::default();
        let inner = counters(5, 2, 0, 0);
        contents.join(OUTER, INNER, &inner);
        let once = contents.clone();
        contents.join(OUTER, INNER, &counters(50, 2, 0, 0));
        assert_eq!(contents, once);
        contents.part(OUTER, INNER, &inner);
        let once = contents.clone();
        contents.part(OUTER, INNER, &counters(50, 2, 0, 0));
        contents.part(INNER, OUTER, &inner);
        assert_eq!(contents, once);
    }

    #[test]
    fn a_later_agent_counts_on() {
        let mut contents = Contents::default();
        let (own, inner) = (counters(10, 5, 1, 0), counters(1_000, 900, 7, 100));
        contents.join(OUTER, INNER, &inner);
        let left = BTreeMap::from([(OUTER.0, contents.inside(OUTER))]);
        let later = Contents::of(left);
        assert_eq!(later.outers().collect::<Vec<_>>(), [OUTER]);
        assert_eq!(later.inner(OUTER).collect::<Vec<_>>(), [INNER]);
        assert_eq!(later.around(INNER).collect::<Vec<_>>(), [OUTER]);
        let inner = counters(1_050, 900, 7, 100);
        assert_eq!(seen(&later, own, inner), seen(&contents, own, inner));
    }

    #[test]
    fn totals_of_another_build_go_on() {
        let mut contents = Contents::default();
        contents.goes_on_from(OUTER, &counters(100, 40, 5, 3));
        // 62 were alive: left there, of whom 60 were found here.
        let own = counters(0, 0, 60, 0);
        let nobody = TargetCounters::default();
        assert_eq!(seen(&contents, own, nobody), [100, 40, 65, 65, 60]);
        assert_eq!(contents.outers().count(), 0);
        // And what a later agent of this build finds is the same.
        let later = Contents::of(BTreeMap::from([(OUTER.0, contents.inside(OUTER))]));
        assert_eq!(seen(&later, own, nobody), [100, 40, 65, 65, 60]);
    }

    #[test]
    fn a_target_that_is_not_there_has_nobody_in_it() {
        let mut contents = Contents::default();
        let inner = counters(5, 2, 0, 0);
        contents.join(OUTER, INNER, &TargetCounters::default());
        let own = TargetCounters::default();
        let whole = contents.whole(OUTER, &own, false, |_| Some(inner));
        assert_eq!((whole.spawns, whole.live, whole.tasks), (5, 0, 0));
    }
}
