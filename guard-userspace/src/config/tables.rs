//! The tables of a target: each value laid over the profile's, in its range.

use super::error::Problem;
use super::gate::{Cap, GateConfig};
use super::overlay::Overlay;
use super::protocol::{End, IdleAfter, Levels, Memory, Restart, Tiers};
use super::units::{Bytes, Percent};
use super::{lists, raw};
use core::ops::RangeInclusive;
use toml::Spanned;

/// Most processes, tokens or trees: the kernel side's process table.
pub(super) const MOST: u64 = guard_common::abi::MAX_PROCESSES as u64;

pub(super) const DAY: f64 = 86_400.0;

const RATE: (RangeInclusive<u64>, &str) = (
    1..=1_000_000,
    "at 0 nothing would start once the burst is spent; to refuse nothing, set mode = \"observe\"",
);
const BURST: (RangeInclusive<u64>, &str) = (
    1..=1_000_000,
    "at 0 nothing would ever start; to refuse nothing, set mode = \"observe\"",
);
const CAP: (RangeInclusive<u64>, &str) = (
    1..=MOST,
    "at 0 nothing could ever start, and the guard follows no more than 65536 processes; to refuse \
     nothing, set mode = \"observe\"",
);
pub(super) const SOME: (RangeInclusive<u64>, &str) = (1..=MOST, "write 1 or more");
const ANY: (RangeInclusive<u64>, &str) =
    (0..=MOST, "the guard follows no more than 65536 processes");

/// Replaces a value that the file has.
pub(super) fn take<T>(given: Option<T>, to: &mut T) {
    if let Some(given) = given {
        *to = given;
    }
}

pub(super) fn idle_after(on: &mut Overlay<'_>, given: raw::IdleAfter, to: &mut IdleAfter) {
    on.time(
        "idle_after.calm",
        given.calm,
        &mut to.calm,
        1.0..=30.0 * DAY,
    );
    on.time(
        "idle_after.pressure",
        given.pressure,
        &mut to.pressure,
        1.0..=30.0 * DAY,
    );
    on.time(
        "idle_after.lasting",
        given.lasting,
        &mut to.lasting,
        1.0..=30.0 * DAY,
    );
}

pub(super) fn gate(on: &mut Overlay<'_>, given: raw::Gate, to: &mut GateConfig) {
    cap(on, given.max_processes, &mut to.max_processes);
    on.number("spawn_rate", given.spawn_rate, &mut to.spawn_rate, RATE);
    on.number("spawn_burst", given.spawn_burst, &mut to.spawn_burst, BURST);
    on.number(
        "startup_rate",
        given.startup_rate,
        &mut to.startup_rate,
        RATE,
    );
    on.number(
        "startup_burst",
        given.startup_burst,
        &mut to.startup_burst,
        BURST,
    );
    on.number("reserve", given.reserve, &mut to.reserve, ANY);
    on.number(
        "guest_processes",
        given.guest_processes,
        &mut to.guest_processes,
        SOME,
    );
    on.number("newborn_max", given.newborn_max, &mut to.newborn_max, SOME);
    on.time("park_for", given.park_for, &mut to.park_for, 0.1..=600.0);
    on.number("parked_max", given.parked_max, &mut to.parked_max, ANY);
    on.number(
        "tree.processes",
        given.tree.processes,
        &mut to.tree.processes,
        SOME,
    );
    on.number("tree.spawns", given.tree.spawns, &mut to.tree.spawns, SOME);
    on.time(
        "tree.settle",
        given.tree.settle,
        &mut to.tree.settle,
        1.0..=DAY,
    );
    lists::globs(on, "wrappers", given.wrappers, &mut to.wrappers);
    lists::globs(on, "servers", given.servers, &mut to.servers);
    lists::instances(on, given.max_instances, &mut to.max_instances);
    lists::modes(on, given.modes, &mut to.modes);
    take(given.deny_errno, &mut to.deny_errno);
}

fn cap(on: &mut Overlay<'_>, given: raw::At<raw::Cap>, to: &mut Cap) {
    let Some(given) = given else { return };
    let place = given.span();
    let mut count = 0;
    match given.into_inner() {
        raw::Cap::Auto => {
            on.value("max_processes", Some(Spanned::new(place, Cap::Auto)), to);
        }
        raw::Cap::Count(number) => {
            on.number(
                "max_processes",
                Some(Spanned::new(place, number)),
                &mut count,
                CAP,
            );
            *to = Cap::Count(count);
        }
    }
}

pub(super) fn levels(on: &mut Overlay<'_>, given: raw::Levels, to: &mut Levels) {
    take(given.count, &mut to.count);
    take(given.strict, &mut to.strict);
    on.number("warning", given.warning, &mut to.warning, SOME);
    on.number("critical", given.critical, &mut to.critical, SOME);
    on.number("emergency", given.emergency, &mut to.emergency, SOME);
    on.number("nuclear", given.nuclear, &mut to.nuclear, SOME);
    on.time(
        "clear_after",
        given.clear_after,
        &mut to.clear_after,
        0.0..=DAY,
    );
    on.time("held_for", given.held_for, &mut to.held_for, 1.0..=DAY);
    on.time(
        "leak_over",
        given.leak_over,
        &mut to.leak_over,
        60.0..=30.0 * DAY,
    );
}

pub(super) fn memory(on: &mut Overlay<'_>, given: raw::Memory, to: &mut Memory) {
    if let Some(limit) = given.limit {
        to.limit = Some(*limit.get_ref());
        if *limit.get_ref() == Bytes(0) {
            let fix =
                "write how much the target may use, or leave it out for the cgroup's own limit";
            on.refuse(Problem::new("`memory.limit` is 0", fix), limit.span());
        }
    }
    let mut share = |key, given, to: &mut Percent| on.value(key, given, to);
    share("memory.warning", given.warning, &mut to.warning);
    share("memory.critical", given.critical, &mut to.critical);
    share("memory.emergency", given.emergency, &mut to.emergency);
    on.value(
        "memory.restart_over",
        given.restart_over,
        &mut to.restart_over,
    );
}

pub(super) fn end(on: &mut Overlay<'_>, given: raw::End, to: &mut End) {
    on.time("grace", given.grace, &mut to.grace, 0.0..=600.0);
    on.number(
        "zombie_limit",
        given.zombie_limit,
        &mut to.zombie_limit,
        ANY,
    );
    on.number(
        "max_kills_per_minute",
        given.max_kills_per_minute,
        &mut to.max_kills_per_minute,
        (
            1..=1_000_000,
            "at 0 no tier could end anything; switch the tiers off instead",
        ),
    );
}

pub(super) fn tiers(on: &mut Overlay<'_>, given: raw::Tiers, to: &mut Tiers) {
    let nuclear = given.nuclear_monitor;
    take(nuclear.on, &mut to.nuclear_monitor.on);
    take(nuclear.scope, &mut to.nuclear_monitor.scope);
    take(
        on.path("log", nuclear.log).map(Some),
        &mut to.nuclear_monitor.log,
    );
    let others = [
        (given.host_monitor, &mut to.host_monitor),
        (given.resource_enforcer, &mut to.resource_enforcer),
        (given.startup_preventer, &mut to.startup_preventer),
    ];
    for (given, to) in others {
        take(given.on, &mut to.on);
        take(on.path("log", given.log).map(Some), &mut to.log);
    }
}

pub(super) fn restart(on: &mut Overlay<'_>, given: raw::Restart, to: &mut Restart) {
    let hourly = (
        0..=60,
        "each restart ends every session: more than one a minute heals nothing",
    );
    on.number(
        "max_per_hour",
        given.max_per_hour,
        &mut to.max_per_hour,
        hourly,
    );
    on.time(
        "stop_timeout",
        given.stop_timeout,
        &mut to.stop_timeout,
        0.0..=3600.0,
    );
    take(
        on.path("compose_dir", given.compose_dir).map(Some),
        &mut to.compose_dir,
    );
}
