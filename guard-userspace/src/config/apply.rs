//! From the file's values to the checked configuration: ranges, names, paths.

use super::checked::{Config, MAX_TARGETS, TargetConfig};
use super::error::Problem;
use super::gate::{Cap, GateConfig};
use super::overlay::Overlay;
use super::protocol::{End, IdleAfter, Levels, Memory, Restart, Tiers};
use super::units::{Bytes, Percent};
use super::{docker_limits, lists, notify, raw, relations, source};
use core::ops::RangeInclusive;
use std::collections::BTreeSet;
use toml::Spanned;

/// Most processes, tokens or trees: the kernel side's process table.
pub(super) const MOST: u64 = guard_common::abi::MAX_PROCESSES as u64;

const DAY: f64 = 86_400.0;

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
const SOME: (RangeInclusive<u64>, &str) = (1..=MOST, "write 1 or more");
const ANY: (RangeInclusive<u64>, &str) =
    (0..=MOST, "the guard follows no more than 65536 processes");

/// Lays the whole file over the defaults.
pub(super) fn file(on: &mut Overlay<'_>, given: raw::File) -> Config {
    let mut config = Config::default();
    take(given.mode, &mut config.mode);
    take(given.on_agent_exit, &mut config.on_agent_exit);
    take(on.path("state_dir", given.state_dir), &mut config.state_dir);
    on.time(
        "agent_timeout",
        given.agent_timeout,
        &mut config.agent_timeout,
        1.0..=3600.0,
    );
    on.time(
        "canary_every",
        given.canary_every,
        &mut config.canary_every,
        1.0..=DAY,
    );
    http(on, given.http, &mut config);
    if let Some(given) = given.target {
        config.targets = targets(on, given);
    }
    config.notify = notify::all(on, given.notify);
    config
}

fn take<T>(given: Option<T>, to: &mut T) {
    if let Some(given) = given {
        *to = given;
    }
}

fn http(on: &mut Overlay<'_>, given: raw::Http, config: &mut Config) {
    take(
        on.path("token_file", given.token_file),
        &mut config.http.token_file,
    );
    let Some(listen) = given.listen else { return };
    match listen.get_ref().parse() {
        Ok(address) => {
            config.http.listen = address;
            relations::listen(on, address, listen.span());
        }
        Err(_) => {
            let cause = format!("`listen` is \"{}\", which is no address", listen.get_ref());
            let fix = "write a numeric address and a port, as \"127.0.0.1:3001\" or \"[::1]:3001\"";
            on.refuse(Problem::new(cause, fix), listen.span());
        }
    }
}

fn targets(on: &mut Overlay<'_>, given: Vec<Spanned<raw::Target>>) -> Vec<TargetConfig> {
    if given.is_empty() {
        let cause = "the list of targets is empty";
        let fix = "add a [[target]] with `container`, `label` or `cgroup`; without any `target` \
                   the container metamcp is guarded";
        on.problems.push(Problem::new(cause, fix));
    }
    if let Some(first_over) = given.get(MAX_TARGETS) {
        let cause = format!(
            "{} targets; {MAX_TARGETS} can be guarded at once",
            given.len()
        );
        let fix = "guard their common parent as one cgroup target, or take some out";
        on.refuse(Problem::new(cause, fix), first_over.span());
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut targets = Vec::new();
    for given in given {
        let place = given.span();
        let Some(target) = target(on, given) else {
            continue;
        };
        if !names.insert(target.name.clone()) {
            let cause = format!("two targets are named \"{}\"", target.name);
            on.refuse(
                Problem::new(cause, "give one of them another `name`"),
                place,
            );
        }
        targets.push(target);
    }
    targets
}

fn target(on: &mut Overlay<'_>, given: Spanned<raw::Target>) -> Option<TargetConfig> {
    on.next_target();
    let before = on.problems.len();
    let place = given.span();
    let given = given.into_inner();
    let source = source::of(on, place, given.container, given.label, given.cgroup)?;
    let profile = given.profile.unwrap_or(super::Profile::Generic);
    let mut target = TargetConfig::of(source, profile);
    source::name(on, given.name, &mut target.name);
    on.patterns("protect", given.protect, &mut target.protect);
    on.patterns("expendable", given.expendable, &mut target.expendable);
    on.number(
        "allowed_instances",
        given.allowed_instances,
        &mut target.allowed_instances,
        SOME,
    );
    idle_after(on, given.idle_after, &mut target.idle_after);
    gate(on, given.gate, &mut target.gate);
    if let Some(given) = given.processes {
        levels(on, given, target.processes.get_or_insert_default());
    }
    if let Some(given) = given.memory {
        memory(on, given, target.memory.get_or_insert_default());
    }
    end(on, given.end, &mut target.end);
    tiers(on, given.tiers, &mut target.tiers);
    if let Some(given) = given.limits {
        docker_limits::apply(on, given, target.limits.get_or_insert_default());
    }
    restart(on, given.restart, &mut target.restart);
    if on.problems.len() == before {
        relations::check(on, &target);
    }
    Some(target)
}

fn idle_after(on: &mut Overlay<'_>, given: raw::IdleAfter, to: &mut IdleAfter) {
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

fn gate(on: &mut Overlay<'_>, given: raw::Gate, to: &mut GateConfig) {
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

fn levels(on: &mut Overlay<'_>, given: raw::Levels, to: &mut Levels) {
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
}

fn memory(on: &mut Overlay<'_>, given: raw::Memory, to: &mut Memory) {
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

fn end(on: &mut Overlay<'_>, given: raw::End, to: &mut End) {
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

fn tiers(on: &mut Overlay<'_>, given: raw::Tiers, to: &mut Tiers) {
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

fn restart(on: &mut Overlay<'_>, given: raw::Restart, to: &mut Restart) {
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
