//! An order that has no answer yet, and what is said of it meanwhile.

use super::Reply;
use crate::model::order::{ActionAnswer, Answer, TreeAnswer, TreeResult};
use crate::model::whole::WholeAnswer;
use crate::model::{Ending, FactKind};
use tokio::time::Instant;

/// An order without an answer yet.
#[derive(Debug)]
pub(super) struct Open {
    pub so_far: SoFar,
    pub reply: Reply,
    pub since: Instant,
}

/// The answer as far as it is known.
#[derive(Debug)]
pub(super) enum SoFar {
    /// Trees are to end.
    Trees(ActionAnswer),
    /// Something is to be done to a target as a whole.
    Whole(WholeAnswer),
    /// Whatever has evidence against it is to end, once it was looked.
    Look(WholeAnswer),
    /// It was looked, and these are to end.
    Cleanup(WholeAnswer),
}

/// The order that a fact is about: its number; 0: none.
pub(super) const fn order_of(kind: &FactKind) -> u64 {
    match kind {
        FactKind::Decision {
            ending: Some(ending),
            ..
        }
        | FactKind::Action {
            ending: Some(ending),
            ..
        } => ending.order,
        FactKind::Decision {
            doing: Some(doing), ..
        } => doing.order,
        FactKind::Action { did: Some(did), .. } => did.doing.order,
        _ => 0,
    }
}

impl Open {
    /// Takes what is said of this order.
    pub fn hear(&mut self, kind: &FactKind) {
        let (result, message) = match kind {
            FactKind::Decision {
                refused,
                dry_run,
                what,
                ..
            } => {
                let result = match (dry_run, refused) {
                    (true, _) => TreeResult::Would,
                    (false, Some(_)) => TreeResult::Refused,
                    (false, None) => TreeResult::UnderWay,
                };
                (result, refused.as_ref().or(what.as_ref()).cloned())
            }
            FactKind::Action { outcome, done, .. } => {
                let result = if *done {
                    TreeResult::Done
                } else {
                    TreeResult::Failed
                };
                (result, Some(outcome.clone()))
            }
            _ => return,
        };
        let message = message.unwrap_or_default();
        match (&mut self.so_far, kind) {
            (
                SoFar::Trees(ActionAnswer { trees, .. })
                | SoFar::Cleanup(WholeAnswer { trees, .. }),
                FactKind::Decision {
                    ending: Some(ending),
                    ..
                }
                | FactKind::Action {
                    ending: Some(ending),
                    ..
                },
            ) => put(trees, ending, result, message),
            (SoFar::Whole(answer), _) => {
                (answer.result, answer.message) = (result, message);
                if let FactKind::Action { did: Some(did), .. } = kind {
                    answer.steps.clone_from(&did.steps);
                }
            }
            _ => {}
        }
    }

    /// Whether all of it has ended.
    pub fn is_over(&self) -> bool {
        let all_ended = |trees: &[TreeAnswer]| {
            let mut trees = trees.iter();
            !trees.any(|tree| tree.result == TreeResult::UnderWay)
        };
        match &self.so_far {
            SoFar::Trees(answer) => all_ended(&answer.trees),
            SoFar::Cleanup(answer) => all_ended(&answer.trees),
            SoFar::Whole(answer) => answer.result != TreeResult::UnderWay,
            SoFar::Look(_) => false,
        }
    }

    /// Answers whoever asked, who may be gone.
    pub fn send(self) {
        let answer = match self.so_far {
            SoFar::Trees(answer) => Answer::End(answer),
            SoFar::Whole(answer) | SoFar::Look(answer) => Answer::Whole(answer),
            SoFar::Cleanup(answer) => Answer::Whole(summed(answer)),
        };
        let _ = self.reply.send(Ok(answer));
    }
}

fn put(trees: &mut Vec<TreeAnswer>, ending: &Ending, result: TreeResult, message: String) {
    let said = TreeAnswer {
        tree: ending.tree,
        root: ending.root,
        family: ending.family.clone(),
        processes: ending.processes,
        result,
        message,
    };
    match trees.iter_mut().find(|tree| tree.tree == ending.tree) {
        Some(tree) => *tree = said,
        None => trees.push(said),
    }
}

/// How a cleanup ended, from how its trees did: the worst that needs somebody to look comes first.
fn summed(mut answer: WholeAnswer) -> WholeAnswer {
    let of = |result| {
        let trees = answer.trees.iter();
        trees.filter(|tree| tree.result == result).count()
    };
    let order = [
        TreeResult::Failed,
        TreeResult::UnderWay,
        TreeResult::Would,
        TreeResult::Done,
        TreeResult::Refused,
    ];
    let worst = order.into_iter().find(|result| of(*result) > 0);
    let all = answer.trees.len();
    (answer.result, answer.message) = match worst {
        None if answer.dry_run => (
            TreeResult::Would,
            "no tree has evidence against it: none would be ended".to_owned(),
        ),
        None => (
            TreeResult::Done,
            "no tree has evidence against it: none is ended".to_owned(),
        ),
        Some(TreeResult::Would) => {
            let words = format!("{} of {all} trees would be ended", of(TreeResult::Would));
            (TreeResult::Would, words)
        }
        Some(worst) => {
            let words = format!("{} of {all} trees were ended", of(TreeResult::Done));
            (worst, words)
        }
    };
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deed::Step;
    use crate::model::whole::Whole;
    use crate::model::{Deed, Did, Doing, How};
    use tokio::sync::oneshot;

    fn answer(action: Whole) -> WholeAnswer {
        WholeAnswer {
            action,
            target: "metamcp".to_owned(),
            dry_run: false,
            result: TreeResult::UnderWay,
            message: String::new(),
            cost: String::new(),
            steps: Vec::new(),
            trees: Vec::new(),
        }
    }

    fn open(so_far: SoFar) -> Open {
        Open {
            so_far,
            reply: oneshot::channel().0,
            since: Instant::now(),
        }
    }

    fn doing() -> Doing {
        Doing {
            order: 3,
            deed: Deed::Freeze,
        }
    }

    fn decided(refused: Option<&str>, dry_run: bool) -> FactKind {
        FactKind::Decision {
            tier: "operator",
            action: "freeze",
            reason: "by_hand",
            what: Some("what it costs".to_owned()),
            quiet: false,
            refused: refused.map(str::to_owned),
            dry_run,
            ending: None,
            doing: Some(doing()),
        }
    }

    fn step() -> Step {
        Step {
            what: "frozen".to_owned(),
            wanted: "1".to_owned(),
            found: "1".to_owned(),
            ok: true,
        }
    }

    #[test]
    fn a_deed_is_over_when_its_outcome_came() {
        let mut one = open(SoFar::Whole(answer(Whole::Freeze)));
        assert_eq!(order_of(&decided(None, false)), 3);
        one.hear(&decided(None, false));
        assert!(!one.is_over());
        let outcome = FactKind::Action {
            action: "freeze",
            quiet: false,
            outcome: "done: freeze".to_owned(),
            done: true,
            ending: None,
            did: Some(Box::new(Did {
                doing: doing(),
                steps: vec![step()],
                left: crate::model::deed::Left::default(),
            })),
        };
        assert_eq!(order_of(&outcome), 3);
        one.hear(&outcome);
        assert!(one.is_over());
        let SoFar::Whole(answer) = one.so_far else {
            unreachable!()
        };
        assert_eq!(answer.result, TreeResult::Done);
        assert_eq!(answer.steps, [step()]);
    }

    #[test]
    fn what_is_refused_or_only_said_is_over_at_once() {
        for (dry_run, expected) in [(false, TreeResult::Refused), (true, TreeResult::Would)] {
            let mut one = open(SoFar::Whole(answer(Whole::Freeze)));
            one.hear(&decided(Some("why"), dry_run));
            assert!(one.is_over());
            let SoFar::Whole(answer) = one.so_far else {
                unreachable!()
            };
            assert_eq!((answer.result, answer.message.as_str()), (expected, "why"));
        }
    }

    #[test]
    fn a_cleanup_waits_for_its_look_and_then_for_its_trees() {
        let mut one = open(SoFar::Look(answer(Whole::Cleanup)));
        assert!(!one.is_over());
        one.so_far = SoFar::Cleanup(answer(Whole::Cleanup));
        assert!(one.is_over(), "no tree was meant");
        let SoFar::Cleanup(WholeAnswer { trees, .. }) = &mut one.so_far else {
            unreachable!()
        };
        let ending = Ending {
            order: 3,
            how: How::End,
            tree: 7,
            root: 70,
            family: "npx x".to_owned(),
            processes: 3,
            named: None,
            ground: None,
        };
        put(trees, &ending, TreeResult::UnderWay, String::new());
        assert!(!one.is_over());
    }

    #[test]
    fn a_cleanup_is_as_good_as_its_worst_tree() {
        let check = |results: &[TreeResult], expected| {
            let mut all = answer(Whole::Cleanup);
            for (result, tree) in results.iter().zip(1..) {
                all.trees.push(TreeAnswer {
                    tree,
                    root: 1,
                    family: String::new(),
                    processes: 1,
                    result: *result,
                    message: String::new(),
                });
            }
            assert_eq!(summed(all).result, expected, "{results:?}");
        };
        check(&[], TreeResult::Done);
        check(&[TreeResult::Done, TreeResult::Refused], TreeResult::Done);
        check(&[TreeResult::Refused], TreeResult::Refused);
        check(&[TreeResult::Done, TreeResult::Failed], TreeResult::Failed);
        check(&[TreeResult::Would, TreeResult::Refused], TreeResult::Would);
    }
}
