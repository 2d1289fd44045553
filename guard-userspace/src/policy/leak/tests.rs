//! Months of people's work and days of a leak, minute by minute.

use super::*;
use crate::model::dice::Dice;
use std::collections::BinaryHeap;

const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;
const ALLOWED: u64 = 4;
/// Minutes of one stretch, as it is by default.
const STRETCH_MIN: u64 = 10;

/// Feeds a count for each minute; the minute at which it was first called a leak.
fn first_named(minutes: u64, mut count: impl FnMut(u64) -> u64) -> Option<(u64, Rise)> {
    let mut series = Series::default();
    for minute in 0..minutes {
        series.see(count(minute));
        if minute % STRETCH_MIN == STRETCH_MIN - 1 {
            series.turn();
            if let Some(rise) = rise(&series, ALLOWED, 60 * STRETCH_MIN) {
                return Some((minute, rise));
            }
        }
    }
    None
}

/// A tree of three processes each 31 minutes, beside the idle instance.
#[test]
fn a_leak_of_140_processes_a_day_is_named_within_12_hours() {
    for before in [0, 7, 31, 95, 3 * DAY] {
        let count = |minute: u64| 1 + minute.saturating_sub(before) / 31;
        let (minute, rise) = first_named(before + DAY, count).unwrap();
        assert!(minute - before <= 12 * HOUR, "{before}: after {minute} min");
        // 46.5 trees, 139 processes.
        assert!((40..=52).contains(&rise.per_day()), "{rise:?}");
    }
}

/// Sessions that end as they should, beside it.
#[test]
fn a_leak_beside_some_healthy_sessions_is_named_too() {
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let (mut next, mut ends) = (0, 0);
        let count = |minute: u64| {
            if minute >= next {
                // One in four hours, for half an hour.
                ends = minute + dice.wait(30);
                next = ends + dice.wait(4 * HOUR);
            }
            1 + minute / 31 + u64::from(minute < ends)
        };
        let (minute, _) = first_named(2 * DAY, count).unwrap_or_else(|| panic!("seed {seed}"));
        assert!(minute <= 30 * HOUR, "seed {seed}: after {minute} min");
    }
}

/// People who come in the morning, open what stays open until they go or for days, and short sessions
/// beside that; in some months they are spread over the world.
struct People {
    dice: Dice,
    users: Vec<User>,
    /// When sessions end, the next one first.
    ends: BinaryHeap<core::cmp::Reverse<u64>>,
}

struct User {
    /// Where its day begins, in minutes.
    zone: u64,
    arrives: u64,
    leaves: u64,
    next_short: u64,
}

impl People {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let spread = dice.once_in(3);
        let users = (0..dice.within(1, 15)).map(|_| User {
            zone: if spread { dice.below(3) * 8 * HOUR } else { 0 },
            arrives: 0,
            leaves: 0,
            next_short: 0,
        });
        let users = users.collect();
        Self {
            dice,
            users,
            ends: BinaryHeap::new(),
        }
    }

    /// Trees of one family in this minute.
    fn trees(&mut self, minute: u64) -> u64 {
        let Self { dice, users, ends } = self;
        let mut open = |until: u64| ends.push(core::cmp::Reverse(until));
        for user in users {
            let local = minute + user.zone;
            let (day, of_day) = (local / DAY, local % DAY);
            if of_day == 0 {
                let works = day % 7 < 5 || dice.once_in(8);
                // Around nine, until around half past five.
                let about = |dice: &mut Dice, at: u64| at + dice.below(180) - 90;
                let (arrives, leaves) = (about(dice, 9 * HOUR), about(dice, 17 * HOUR + 30));
                (user.arrives, user.leaves) = if works { (arrives, leaves) } else { (DAY, 0) };
                user.next_short = arrives + dice.wait(HOUR);
            }
            if of_day == user.arrives {
                match dice.below(20) {
                    // A desktop client that stays open for days.
                    0..3 => open(minute + dice.within(1, 5) * DAY + dice.below(DAY)),
                    3..14 => open(minute + user.leaves - user.arrives),
                    _ => {}
                }
            }
            if of_day < user.leaves && of_day >= user.next_short {
                user.next_short = of_day + 1 + dice.wait(HOUR);
                open(minute + 1 + dice.wait(25));
            }
        }
        while ends.peek().is_some_and(|end| end.0 <= minute) {
            ends.pop();
        }
        // With the idle instance, and now and then one that is just being replaced.
        1 + ends.len() as u64 + u64::from(dice.once_in(20))
    }
}

#[test]
fn a_month_of_people_is_no_leak() {
    let mut busiest = 0;
    for seed in 0..60 {
        let mut people = People::new(seed);
        let named = first_named(30 * DAY, |minute| {
            let trees = people.trees(minute);
            busiest = busiest.max(trees);
            trees
        });
        assert_eq!(named, None, "seed {seed}");
    }
    assert!(busiest > 3 * ALLOWED, "else nothing was tried: {busiest}");
}

/// The same people, and a leak that begins in the middle of the month.
#[test]
fn a_leak_among_people_is_named_within_a_week() {
    for seed in 0..10 {
        let (mut people, begins) = (People::new(seed), 10 * DAY);
        let named = first_named(17 * DAY, |minute| {
            people.trees(minute) + minute.saturating_sub(begins) / 31
        });
        let (minute, _) = named.unwrap_or_else(|| panic!("seed {seed}"));
        assert!(minute >= begins, "seed {seed}: {minute}");
    }
}

#[test]
fn what_stays_or_falls_is_no_leak_any_more() {
    let mut series = Series::default();
    let hours = |series: &mut Series, hours: u64, count: &mut dyn FnMut(u64) -> u64| {
        for minute in 0..hours * HOUR {
            series.see(count(minute));
            if minute % STRETCH_MIN == STRETCH_MIN - 1 {
                series.turn();
            }
        }
    };
    hours(&mut series, 12, &mut |minute| 1 + minute / 31);
    assert!(rise(&series, ALLOWED, 60 * STRETCH_MIN).is_some());
    series.tell();
    hours(&mut series, 2, &mut |minute| 24 + minute / 31);
    assert!(series.is_told(), "it goes on");
    let mut fallen = series.clone();
    hours(&mut fallen, 1, &mut |_| 5);
    assert!(!fallen.is_told(), "its trees were ended");
    hours(&mut series, 9, &mut |_| 28);
    assert!(!series.is_told(), "it is no more than it was");
}

/// The guard's own cleanup at critical, each seven hours, makes no saw of it.
#[test]
fn what_the_guard_ends_does_not_hide_the_leak() {
    let mut series = Series::default();
    let mut trees = 1;
    for minute in 0..12 * HOUR {
        trees += u64::from(minute % 31 == 30);
        if trees == 14 {
            (0..5).for_each(|_| series.end());
            trees -= 5;
        }
        series.see(trees);
        if minute % STRETCH_MIN == STRETCH_MIN - 1 {
            series.turn();
        }
    }
    let rise = rise(&series, ALLOWED, 60 * STRETCH_MIN).unwrap();
    assert_eq!((rise.trees, rise.per_day()), (trees, 46));
}

#[test]
fn memory_is_bounded() {
    let mut series = Series::default();
    for minute in 0..10_000 {
        series.see(minute);
        series.turn();
    }
    assert!(series.is_known());
    assert_eq!(series.two_hours(crate::state::leaks::REMEMBERED), None);
}
