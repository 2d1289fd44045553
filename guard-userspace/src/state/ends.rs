//! Trees that are being ended, and how many have been.

use crate::model::{Action, Decision, How, Order, Outcome, OutcomeKind, Tier};
use std::collections::BTreeMap;

/// A tree that was chosen in vain, or in `observe`, is chosen again after so long, in ns: else each look
/// would say the same.
const SPARED_NS: u64 = 60_000_000_000;

/// Of one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ends {
    order: Option<Order>,
    /// The order that ends each tree, by the tree's id.
    under_way: BTreeMap<u64, u64>,
    /// Trees that the agent chose in vain.
    spared: BTreeMap<u64, Spared>,
    /// Who wants each tree to end that is being ended, by the tree's id.
    tiers: BTreeMap<u64, Tier>,
    retired: u64,
    killed: u64,
    forced: u64,
    /// Processes that ended by a signal, by the name of the tier that wanted it.
    by_tier: BTreeMap<&'static str, u64>,
}

/// A tree that was chosen in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spared {
    /// When it may be chosen again, ns of CLOCK_BOOTTIME.
    until_ns: u64,
    /// It was only said that it would have ended.
    said: bool,
}

impl Ends {
    /// What an operator wants, until the policy has looked at it.
    #[must_use]
    pub const fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }

    /// The order that is ending a tree.
    #[must_use]
    pub fn by(&self, tree: u64) -> Option<u64> {
        self.under_way.get(&tree).copied()
    }

    /// Whether the agent is ending trees of its own accord.
    #[must_use]
    pub fn has_own(&self) -> bool {
        self.under_way.values().any(|order| *order == 0)
    }

    /// Whether a tree was chosen in vain just now, and is to be let be at `now_ns`.
    #[must_use]
    pub fn is_spared(&self, tree: u64, now_ns: u64) -> bool {
        let spared = self.spared.get(&tree);
        spared.is_some_and(|spared| now_ns < spared.until_ns)
    }

    /// Whether a tree is as good as gone for whoever counts what is to end: it is being ended, or it
    /// was said just now that it would have been (`observe`).
    #[must_use]
    pub fn counts_as_gone(&self, tree: u64, now_ns: u64) -> bool {
        let spared = self.spared.get(&tree);
        let said = spared.is_some_and(|spared| spared.said && now_ns < spared.until_ns);
        said || self.by(tree).is_some()
    }

    /// Trees that ended by end of file.
    #[must_use]
    pub const fn retired(&self) -> u64 {
        self.retired
    }

    /// Processes that ended by an operator's signal.
    #[must_use]
    pub const fn killed(&self) -> u64 {
        self.killed
    }

    /// Processes of trees that the agent chose and that did not end without a signal.
    #[must_use]
    pub const fn forced(&self) -> u64 {
        self.forced
    }

    /// Processes that ended by a signal of the agent, by the tier that wanted it; each tier is there.
    #[must_use]
    pub fn by_tier(&self) -> BTreeMap<String, u64> {
        let killed = |name| self.by_tier.get(name).copied().unwrap_or(0);
        let agents = Tier::ALL.into_iter().filter(|tier| *tier != Tier::Gate);
        let all = agents.map(Tier::name);
        all.map(|name| (name.to_owned(), killed(name))).collect()
    }

    /// An operator wants something.
    pub fn ordered(&mut self, order: Order) {
        self.order = Some(order);
    }

    /// The policy has looked at it, and this is to be done. A tree that another order is ending
    /// stays with that one.
    pub fn decided(&mut self, decisions: &[Decision]) {
        self.order = None;
        for decision in decisions.iter().filter(|decision| !decision.dry_run) {
            if let Action::End(ending) = &decision.action {
                self.under_way.entry(ending.tree).or_insert(ending.order);
                self.tiers.entry(ending.tree).or_insert(decision.tier);
            }
        }
    }

    /// An action ended.
    pub fn ended(&mut self, outcome: &Outcome, at_ns: u64) {
        let Some(ended) = &outcome.ended else {
            return;
        };
        let ending = &ended.ending;
        if ending.order == 0 && outcome.kind != OutcomeKind::Done {
            self.spared.retain(|_, spared| at_ns < spared.until_ns);
            let spared = Spared {
                until_ns: at_ns.saturating_add(SPARED_NS),
                said: matches!(outcome.kind, OutcomeKind::Refused(_)),
            };
            self.spared.insert(ending.tree, spared);
        }
        if self.by(ending.tree) == Some(ending.order) {
            self.under_way.remove(&ending.tree);
            let tier = self.tiers.remove(&ending.tree);
            if let Some(tier) = tier.filter(|_| ended.killed || ending.how == How::Kill) {
                let killed = self.by_tier.entry(tier.name()).or_default();
                *killed = killed.saturating_add(ended.processes);
            }
        }
        match ending.how {
            How::Kill => self.killed = self.killed.saturating_add(ended.processes),
            _ if outcome.kind != OutcomeKind::Done => {}
            _ if ended.killed => self.forced = self.forced.saturating_add(ended.processes),
            _ => self.retired = self.retired.saturating_add(1),
        }
    }

    /// Nothing is there any more; totals stay.
    pub fn clear(&mut self) {
        self.order = None;
        self.under_way.clear();
        self.tiers.clear();
        self.spared.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ended, Ending, Reason, TargetId};

    fn ending(order: u64, how: How) -> Ending {
        Ending {
            order,
            how,
            tree: 7,
            root: 70,
            family: "npx x".to_owned(),
            processes: 3,
            named: None,
            ground: None,
        }
    }

    fn ended(ending: Ending, processes: u64) -> Option<Box<Ended>> {
        Some(Box::new(Ended {
            ending,
            processes,
            killed: false,
        }))
    }

    fn decision(order: u64, dry_run: bool) -> Decision {
        Decision {
            target: TargetId(0),
            tier: Tier::Operator,
            reason: Reason::ByHand,
            action: Action::End(ending(order, How::Kill)),
            dry_run,
        }
    }

    #[test]
    fn the_order_that_came_first_has_the_tree_until_it_ends() {
        let mut ends = Ends::default();
        ends.decided(&[decision(1, true)]);
        assert_eq!(ends.by(7), None, "a dry run takes nothing");
        ends.decided(&[decision(1, false)]);
        ends.decided(&[decision(2, false)]);
        assert_eq!(ends.by(7), Some(1));
        let mut outcome = Outcome::of("kill", OutcomeKind::Refused("busy".to_owned()));
        outcome.ended = ended(ending(2, How::Kill), 0);
        ends.ended(&outcome, 0);
        assert_eq!(ends.by(7), Some(1), "another order's end is not this one's");
        outcome.ended = ended(ending(1, How::Kill), 3);
        ends.ended(&outcome, 0);
        assert_eq!((ends.by(7), ends.killed(), ends.retired()), (None, 3, 0));
        let killed = ends.by_tier();
        assert_eq!((killed["operator"], killed["nuclear_monitor"]), (3, 0));
    }

    #[test]
    fn only_a_tree_that_ended_is_retired() {
        let mut ends = Ends::default();
        let mut outcome = Outcome::of("retire", OutcomeKind::Failed("it stayed".to_owned()));
        outcome.ended = ended(ending(1, How::Retire), 1);
        ends.ended(&outcome, 0);
        assert_eq!(ends.retired(), 0);
        outcome.kind = OutcomeKind::Done;
        ends.ended(&outcome, 0);
        assert_eq!((ends.retired(), ends.killed()), (1, 0));
    }
}
