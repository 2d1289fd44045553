//! What an operator's order comes to: the trees that it means, or what is to be done to the whole.
//! Whether it may be done is the rails' to say.

use crate::config::TargetConfig;
use crate::model::kin::TreeKind;
use crate::model::{Action, Doing, Ending, How, Order, Ordered, Reason, Stamp};
use crate::state::TargetState;
use crate::state::trees::UNKNOWN;
use guard_common::tree::Place;

/// What the order means. Of one that names a process: that one's tree, whatever it is, so that the
/// rails can say why not.
#[must_use]
pub fn decide(
    order: &Order,
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
) -> Vec<(Reason, Action)> {
    let actions = match &order.what {
        Ordered::End { how, named, only } => {
            let mut ends = trees(order.id, *how, *named, state);
            ends.retain(|ending| only.as_ref().is_none_or(|only| only.contains(&ending.tree)));
            ends.into_iter().map(Action::End).collect()
        }
        Ordered::Cleanup => {
            let mut ends = super::victims::cleanup(state, config, now);
            for ending in &mut ends {
                ending.order = order.id;
            }
            ends.into_iter().map(Action::End).collect()
        }
        Ordered::Look => vec![Action::Look],
        Ordered::Do(deed) => vec![Action::Do(Doing {
            order: order.id,
            deed: deed.clone(),
        })],
    };
    let by_hand = |action| (Reason::ByHand, action);
    actions.into_iter().map(by_hand).collect()
}

fn trees(order: u64, how: How, named: Option<(u32, Place)>, state: &TargetState) -> Vec<Ending> {
    let of = |id, pid| Ending {
        order,
        how,
        named,
        ..ending(state, id, pid)
    };
    match named {
        Some((pid, place)) => vec![of(place.tree(), pid)],
        None => {
            let trees = state.trees().all().iter();
            let servers = trees.filter(|tree| tree.kind == TreeKind::Tree);
            servers.map(|tree| of(tree.id, tree.root)).collect()
        }
    }
}

/// The tree `id` to be ended, or what can be said of `pid` where there is none.
pub(super) fn ending(state: &TargetState, id: u64, pid: u32) -> Ending {
    let mut trees = state.trees().with_families(state.kin());
    let known = trees.find(|(tree, _)| tree.id == id);
    let family = known.map_or(UNKNOWN, |(_, family)| family).to_owned();
    let seen = state.trees().all().iter().find(|tree| tree.id == id);
    Ending {
        order: 0,
        how: How::End,
        tree: id,
        root: seen.map_or(pid, |tree| tree.root),
        family,
        processes: seen.map_or(1, |tree| tree.used),
        named: None,
        ground: None,
    }
}
