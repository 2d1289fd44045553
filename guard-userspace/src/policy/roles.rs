//! What the programs of the spine and of roots say, once for each exec.

use super::gateways::Gateways;
use super::{family, reserve, role};
use crate::config::TargetConfig;
use crate::model::kin::Birth;
use crate::model::{Action, Reason};
use crate::state::TargetState;
use crate::state::kin::Relative;
use guard_common::tree::Role;
use guard_common::tree::force::Post;
use std::collections::BTreeSet;

/// What was judged, and what is to be done about it.
#[derive(Debug, Default)]
pub struct Judgement {
    /// By pid, each with its family where it has one.
    pub judged: Vec<(u32, Option<String>)>,
    /// What is to be done.
    pub actions: Vec<(Reason, Action)>,
}

/// Judges all that is new.
#[must_use]
pub fn decide(state: &TargetState, config: &TargetConfig, gateways: &mut Gateways) -> Judgement {
    let mut judgement = Judgement::default();
    for relative in state.kin().news() {
        let pid = relative.key.pid;
        let mut found = None;
        let action = match relative.place.role() {
            _ if relative.place.is_spine() => spine(state, config, relative, gateways),
            Role::Member if relative.birth == Birth::Root && !relative.argv.is_empty() => {
                if role::is_protected(&relative.argv, &config.protect)
                    && gateways.admit(pid, &relative.argv)
                {
                    Some(protect(relative))
                } else {
                    found = family_of(state, relative);
                    found
                        .as_deref()
                        .and_then(|family| root(state, config, relative, family))
                }
            }
            _ => None,
        };
        judgement.judged.push((pid, found));
        judgement.actions.extend(action);
    }
    judgement
}

/// Its family; what all share past the most that are told apart.
fn family_of(state: &TargetState, relative: &Relative) -> Option<String> {
    let name = family::of(&relative.argv)?;
    let known: BTreeSet<&str> = state
        .kin()
        .all()
        .filter_map(|one| one.family.as_deref())
        .collect();
    if known.len() < family::MAX_FAMILIES || known.contains(name.as_str()) {
        Some(name)
    } else {
        Some(family::OTHERS.to_owned())
    }
}

fn spine(
    state: &TargetState,
    config: &TargetConfig,
    relative: &Relative,
    gateways: &mut Gateways,
) -> Option<(Reason, Action)> {
    // Forked by what was a gateway already, in the moment before the kernel side knew it.
    if relative.place.role() == Role::Wrapper
        && let Some(parent) = state.kin().get(relative.parent)
        && parent.place.role() == Role::Gateway
        && parent.execed_ns <= relative.born_ns
    {
        let (process, post) = (relative.key, Post::Root);
        return Some((Reason::Program, Action::Move { process, post }));
    }
    let role = role::of_spine(&relative.argv, &config.gate.wrappers)?;
    if role == relative.place.role() {
        return None;
    }
    if role == Role::Gateway && !gateways.admit(relative.key.pid, &relative.argv) {
        return None;
    }
    let (process, program) = (relative.key, relative.argv.join(" "));
    let action = Action::Role {
        process,
        role,
        program,
    };
    Some((Reason::Program, action))
}

fn protect(relative: &Relative) -> (Reason, Action) {
    let (process, program) = (relative.key, relative.argv.join(" "));
    (Reason::Program, Action::Protect { process, program })
}

/// A root whose family is known: too many of it, or larger than others.
fn root(
    state: &TargetState,
    config: &TargetConfig,
    relative: &Relative,
    family: &str,
) -> Option<(Reason, Action)> {
    let others = state.kin().all().filter(|one| {
        one.key != relative.key && one.birth == Birth::Root && one.family.as_deref() == Some(family)
    });
    let most = family::most_instances(&config.gate.max_instances, family);
    if most.is_some_and(|most| others.count() as u64 >= most) {
        let (process, post) = (relative.key, Post::Nobody);
        return Some((Reason::Instances, Action::Move { process, post }));
    }
    reserve::raise(state, config, relative.place.tree(), family)
}
