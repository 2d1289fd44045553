//! Who holds the slots: gateways, and their trees by family.

use crate::model::status::{FamilyStatus, GatewayStatus};
use crate::state::TargetState;
use guard_common::tree::Role;
use std::collections::BTreeMap;

/// The target's gateways.
pub fn gateways(state: &TargetState) -> Vec<GatewayStatus> {
    let all = state.kin().all();
    all.filter(|one| one.place.role() == Role::Gateway)
        .map(|one| GatewayStatus {
            pid: one.key.pid,
            program: one.argv.join(" "),
        })
        .collect()
}

/// Slots that are reserved for trees and not used.
pub fn unused(state: &TargetState) -> u64 {
    let trees = state.trees().with_families(state.kin());
    trees
        .map(|(tree, _)| tree.reserved.saturating_sub(tree.used))
        .sum()
}

/// The target's families, those that hold most slots first.
pub fn of(state: &TargetState) -> Vec<FamilyStatus> {
    let mut trees: Vec<_> = state.trees().with_families(state.kin()).collect();
    trees.sort_unstable_by_key(|(tree, _)| tree.born_ns);
    let mut all: BTreeMap<&str, FamilyStatus> = BTreeMap::new();
    for (tree, family) in trees {
        let status = all.entry(family).or_default();
        status.trees += 1;
        status.processes += tree.used;
        status.slots += tree.used.max(tree.reserved);
        status.roots.push(tree.root);
    }
    let mut families: Vec<FamilyStatus> = all
        .into_iter()
        .map(|(name, status)| FamilyStatus {
            name: name.to_owned(),
            ..status
        })
        .collect();
    families.sort_by_key(|family| core::cmp::Reverse(family.slots));
    families
}
