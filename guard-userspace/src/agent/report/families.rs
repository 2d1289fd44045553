//! Who holds the slots: gateways, and their trees by family.

use crate::model::status::{FamilyStatus, GatewayStatus};
use crate::state::TargetState;
use guard_common::tree::Role;

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
    let all = state.trees().holdings(state.kin()).into_iter();
    let mut families: Vec<FamilyStatus> = all
        .map(|(name, holding)| FamilyStatus {
            name: name.to_owned(),
            trees: u64::try_from(holding.roots.len()).unwrap_or(u64::MAX),
            processes: holding.processes,
            slots: holding.slots,
            roots: holding.roots,
        })
        .collect();
    families.sort_by_key(|family| core::cmp::Reverse(family.slots));
    families
}
