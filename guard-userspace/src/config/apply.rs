//! From the file's values to the checked configuration: ranges, names, paths.

use super::checked::{Config, MAX_TARGETS, TargetConfig};
use super::error::Problem;
use super::overlay::Overlay;
use super::{docker_limits, notify, raw, relations, source, tables};
use std::collections::BTreeSet;
use toml::Spanned;

/// Lays the whole file over the defaults.
pub(super) fn file(on: &mut Overlay<'_>, given: raw::File) -> Config {
    let mut config = Config::default();
    tables::take(given.mode, &mut config.mode);
    tables::take(given.on_agent_exit, &mut config.on_agent_exit);
    tables::take(on.path("state_dir", given.state_dir), &mut config.state_dir);
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
        1.0..=tables::DAY,
    );
    http(on, given.http, &mut config);
    if let Some(given) = given.target {
        config.targets = targets(on, given);
    }
    config.notify = notify::all(on, given.notify);
    config
}

fn http(on: &mut Overlay<'_>, given: raw::Http, config: &mut Config) {
    tables::take(
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
        tables::SOME,
    );
    tables::idle_after(on, given.idle_after, &mut target.idle_after);
    tables::gate(on, given.gate, &mut target.gate);
    if let Some(given) = given.processes {
        tables::levels(on, given, target.processes.get_or_insert_default());
    }
    if let Some(given) = given.memory {
        tables::memory(on, given, target.memory.get_or_insert_default());
    }
    tables::end(on, given.end, &mut target.end);
    tables::tiers(on, given.tiers, &mut target.tiers);
    if let Some(given) = given.limits {
        docker_limits::apply(on, given, target.limits.get_or_insert_default());
    }
    tables::restart(on, given.restart, &mut target.restart);
    if on.problems.len() == before {
        relations::check(on, &target);
    }
    Some(target)
}
