//! How many live processes are more than what is healthy.

use crate::config::TargetConfig;
use crate::model::kin::TreeSeen;
use crate::state::TargetState;
use std::collections::BTreeMap;

/// Live processes less the spine and, of each family, its `allowed_instances` trees: the youngest
/// and those that were last active. A healthy boot of 20 servers has none, a leak is all of it.
///
/// On a cgroup target whose processes are nobody's servers (nothing matches `protect`) it is all
/// that live.
#[must_use]
pub fn processes(state: &TargetState, config: &TargetConfig) -> u64 {
    let live = state.counters().live;
    if !config.source.is_container() && config.protect.is_empty() {
        return live;
    }
    // Trees are looked at once a second; no more can be too many than live.
    if !state.trees().is_fresh() {
        return state.excess().min(live);
    }
    let mut families: BTreeMap<&str, Vec<&TreeSeen>> = BTreeMap::new();
    for (tree, family) in state.trees().with_families(state.kin()) {
        families.entry(family).or_default().push(tree);
    }
    let allowed = usize::try_from(config.allowed_instances).unwrap_or(usize::MAX);
    let beyond = families.into_values().flat_map(|mut trees| {
        trees.sort_unstable_by_key(|tree| core::cmp::Reverse(tree.active_ns.max(tree.born_ns)));
        trees.into_iter().skip(allowed)
    });
    beyond.map(|tree| tree.used).sum()
}
