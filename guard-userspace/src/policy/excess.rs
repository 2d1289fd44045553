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
    if !has_gateway(config) {
        return live;
    }
    // Trees are looked at once a second; no more can be too many than live.
    if !state.trees().is_fresh() {
        return state.excess().min(live);
    }
    beyond(state, config).map(|(tree, _)| tree.used).sum()
}

/// Whether somebody in it can be a gateway, whose children are servers.
#[must_use]
pub fn has_gateway(config: &TargetConfig) -> bool {
    config.source.is_container() || !config.protect.is_empty()
}

/// Trees beyond what is healthy, each with its family: all of a family but those used last.
pub fn beyond<'a>(
    state: &'a TargetState,
    config: &TargetConfig,
) -> impl Iterator<Item = (&'a TreeSeen, &'a str)> {
    let mut families: BTreeMap<&str, Vec<&TreeSeen>> = BTreeMap::new();
    for (tree, family) in state.trees().with_families(state.kin()) {
        families.entry(family).or_default().push(tree);
    }
    let allowed = usize::try_from(config.allowed_instances).unwrap_or(usize::MAX);
    families.into_iter().flat_map(move |(family, mut trees)| {
        trees.sort_unstable_by_key(|tree| core::cmp::Reverse(last_used(tree, state)));
        let beyond = trees.into_iter().skip(allowed);
        beyond.map(move |tree| (tree, family))
    })
}

/// When a tree was made or seen to do something, ns of CLOCK_BOOTTIME; of two that are alike the
/// younger is more.
fn last_used(tree: &TreeSeen, state: &TargetState) -> (u64, u64) {
    let seen = state.watched().tree(tree.id);
    let idle_since = seen.map_or(0, |seen| seen.idle_since_ns);
    let used = tree.active_ns.max(tree.born_ns).max(idle_since);
    (used, tree.born_ns)
}
