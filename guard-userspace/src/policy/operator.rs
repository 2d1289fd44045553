//! What an operator's order comes to: the trees that it means. Whether each may be ended is the
//! rails' to say.

use crate::model::kin::TreeKind;
use crate::model::{Action, Ending, Order, Reason};
use crate::state::TargetState;
use crate::state::trees::UNKNOWN;

/// The trees that the order means. Of one that names a process: that one's, whatever it is, so that
/// the rails can say why not.
#[must_use]
pub fn decide(order: &Order, state: &TargetState) -> Vec<(Reason, Action)> {
    let ends = match order.named {
        Some((pid, place)) => vec![of(order, state, place.tree(), pid)],
        None => {
            let trees = state.trees().all().iter();
            let servers = trees.filter(|tree| tree.kind == TreeKind::Tree);
            servers
                .map(|tree| of(order, state, tree.id, tree.root))
                .collect()
        }
    };
    let may_be = |id| order.only.as_ref().is_none_or(|only| only.contains(&id));
    let ends = ends.into_iter().filter(|ending| may_be(ending.tree));
    ends.map(|ending| (Reason::ByHand, Action::End(ending)))
        .collect()
}

/// The tree `id`, or what can be said of `pid` where there is none.
fn of(order: &Order, state: &TargetState, id: u64, pid: u32) -> Ending {
    let mut trees = state.trees().with_families(state.kin());
    let known = trees.find(|(tree, _)| tree.id == id);
    let family = known.map_or(UNKNOWN, |(_, family)| family).to_owned();
    let seen = state.trees().all().iter().find(|tree| tree.id == id);
    Ending {
        order: order.id,
        how: order.how,
        tree: id,
        root: seen.map_or(pid, |tree| tree.root),
        family,
        processes: seen.map_or(1, |tree| tree.used),
        named: order.named,
    }
}
