//! What is reserved for trees: raised where a family needs more, taken back where room is short.

use crate::config::TargetConfig;
use crate::model::{Action, Reason, Stamp};
use crate::state::TargetState;
use guard_common::tree::adjust::{MOST_RAISED, floor};
use std::collections::BTreeMap;

/// A root's program has told its family: the raise of its tree towards what that family needs, if
/// it needs more than every tree is given.
#[must_use]
pub fn raise(
    state: &TargetState,
    config: &TargetConfig,
    tree: u64,
    family: &str,
) -> Option<(Reason, Action)> {
    let peak = state.trees().sizes(family)?.peak()?.min(MOST_RAISED);
    let has = state.trees().all().iter().find(|seen| seen.id == tree);
    let reserved = has.map_or(config.gate.tree.processes, |seen| seen.reserved);
    if peak <= reserved {
        return None;
    }
    let limits = state.in_force()?;
    let open = limits.terms().open_to_trees();
    let room = room_for_raises(open, config.allowed_instances, needs(state, family));
    Some((Reason::Family, Action::Raise { tree, peak, room }))
}

/// What each other family has and needs for one tree.
fn needs<'a>(state: &'a TargetState, but: &str) -> impl Iterator<Item = (u64, u64)> + use<'a> {
    let mut instances: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, family) in state.trees().with_families(state.kin()) {
        *instances.entry(family).or_default() += 1;
    }
    instances.remove(but);
    let slots = |family: &str| state.trees().sizes(family)?.peak();
    instances
        .into_iter()
        .map(move |(family, count)| (count, slots(family).unwrap_or(0)))
}

/// Most slots that a raise may bring a target to: what is open to trees, less what families below
/// `allowed` instances may still need. Each is (instances, slots of one).
#[must_use]
pub fn room_for_raises(
    open_to_trees: u64,
    allowed: u64,
    families: impl Iterator<Item = (u64, u64)>,
) -> u64 {
    let needed = families
        .map(|(instances, slots)| allowed.saturating_sub(instances).saturating_mul(slots))
        .fold(0, u64::saturating_add);
    open_to_trees.saturating_sub(needed)
}

/// Whether the next tree finds no room, so that spare slots are worth taking back.
#[must_use]
pub fn is_short(state: &TargetState, now: Stamp) -> bool {
    let Some(limits) = state.in_force() else {
        return false;
    };
    let terms = limits.terms();
    let next = state.committed().saturating_add(terms.tree_processes);
    terms.tree_processes > 1 && (next > terms.open_to_trees() || state.held_at_cap(now))
}

/// Trees that give back what they do not use but one slot, while room is short: those that are
/// quiet and as large as their family usually is.
#[must_use]
pub fn settle(state: &TargetState, config: &TargetConfig, now: Stamp) -> Vec<(Reason, Action)> {
    if !state.trees().is_fresh() || !is_short(state, now) {
        return Vec::new();
    }
    let settle_ns = u64::try_from(config.gate.tree.settle.as_nanos()).unwrap_or(u64::MAX);
    state
        .trees()
        .with_families(state.kin())
        .filter(|(tree, _)| tree.reserved > tree.used.saturating_add(1))
        .filter_map(|(tree, family)| {
            let usual = state.trees().sizes(family).and_then(|sizes| sizes.usual());
            let usual = usual.unwrap_or(config.gate.tree.processes);
            let quiet_ns = now.boot_ns.saturating_sub(tree.active_ns);
            let floor = floor(quiet_ns, settle_ns, usual)?;
            let tree = tree.id;
            Some((Reason::RoomIsShort, Action::Settle { tree, floor }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_still_need_is_no_room() {
        let check = |families: &[(u64, u64)], expected: u64| {
            let room = room_for_raises(100, 4, families.iter().copied());
            assert_eq!(room, expected, "{families:?}");
        };
        check(&[], 100);
        check(&[(4, 3), (9, 12)], 100);
        check(&[(1, 4), (3, 12)], 100 - 12 - 12);
        check(&[(0, 30)], 0);
        check(&[(0, u64::MAX), (0, 1)], 0);
    }
}
