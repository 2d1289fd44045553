//! `retire` and `kill`: ends trees by hand, through the running agent.

use super::args::{End as Options, Whole};
use super::exit::{Code, Failure};
use super::own::{Agent, Need};
use super::{ask, client, out};
use crate::model::How;
use crate::model::order::{ActionAnswer, ActionRequest, TreeResult};
use std::path::Path;

/// Ends trees, or says which would be ended.
///
/// # Errors
/// No agent answers, nobody is meant, the operator did not confirm; or ([`Code::CheckFailed`], said
/// already) not all that was meant has ended.
pub(super) fn run(how: How, options: &Options, socket: &Path) -> Result<(), Failure> {
    let Whole {
        target,
        dry_run,
        yes,
        json,
        config,
    } = &options.whole;
    let agent = Agent::reach(socket, config, target.as_deref(), Need::Running)?;
    let socket = agent.socket();
    let mut request = ActionRequest {
        action: how,
        target: target.clone(),
        tree: options.tree,
        only: None,
        dry_run: true,
    };
    if !dry_run && !yes {
        let would: ActionAnswer = client::act(socket, &request)?;
        confirm(how, &would)?;
        request.only = Some(would.trees.iter().map(|tree| tree.tree).collect());
    }
    request.dry_run = *dry_run;
    let answer: ActionAnswer = client::act(socket, &request)?;
    agent.end()?;
    if *json {
        out::json(&answer)?;
    } else {
        out::print(&words(&answer))?;
    }
    let as_wanted = |result| matches!(result, TreeResult::Would | TreeResult::Done);
    if answer.trees.iter().all(|tree| as_wanted(tree.result)) {
        Ok(())
    } else {
        Err(Failure::said(Code::CheckFailed))
    }
}

/// Asks where something would be done; else the order itself says why not.
fn confirm(how: How, would: &ActionAnswer) -> Result<(), Failure> {
    let mut meant = would.trees.iter();
    if meant.any(|tree| tree.result == TreeResult::Would) {
        ask::confirm(how.name(), &words(would))
    } else {
        Ok(())
    }
}

/// The answer as lines for a terminal.
fn words(answer: &ActionAnswer) -> String {
    let (target, how) = (&answer.target, answer.action);
    if answer.trees.is_empty() {
        return format!("{target} has no tree to {}\n", how.name());
    }
    let of = |results: &[TreeResult]| {
        let trees = answer.trees.iter();
        trees.filter(|tree| results.contains(&tree.result)).count()
    };
    let mut text = String::new();
    for tree in &answer.trees {
        let line = match tree.result {
            TreeResult::Would => format!(
                "would be {}: tree of pid {}, {}, {} processes",
                how.past(),
                tree.root,
                tree.family,
                tree.processes
            ),
            TreeResult::Refused => format!("not {}: {}", how.past(), tree.message),
            TreeResult::UnderWay => format!("under way, see the agent's log: {}", tree.message),
            TreeResult::Done => format!("{}: {}", how.past(), tree.message),
            TreeResult::Failed => format!("failed: {}", tree.message),
        };
        text.push_str(&format!("{target}: {line}\n"));
    }
    let all = answer.trees.len();
    let (would, done) = (of(&[TreeResult::Would]), of(&[TreeResult::Done]));
    if would > 0 {
        text.push_str(&format!(
            "{would} of {all} trees would be {}. What it costs, for each: {}.\n",
            how.past(),
            answer.cost
        ));
    } else if !answer.dry_run {
        text.push_str(&format!("{done} of {all} trees were {}.\n", how.past()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::order::TreeAnswer;

    fn answer(action: How, results: &[TreeResult]) -> ActionAnswer {
        let trees = results.iter().zip(1..).map(|(result, tree)| TreeAnswer {
            tree,
            root: 100,
            family: "npx x".to_owned(),
            processes: 3,
            result: *result,
            message: "the reason".to_owned(),
        });
        ActionAnswer {
            action,
            target: "metamcp".to_owned(),
            dry_run: results.contains(&TreeResult::Would),
            cost: action.cost().to_owned(),
            trees: trees.collect(),
        }
    }

    #[test]
    fn a_dry_run_says_which_trees_and_what_it_costs() {
        let text = words(&answer(
            How::Kill,
            &[TreeResult::Would, TreeResult::Refused],
        ));
        insta::assert_snapshot!(text, @r"
        metamcp: would be killed: tree of pid 100, npx x, 3 processes
        metamcp: not killed: the reason
        1 of 2 trees would be killed. What it costs, for each: MetaMCP marks this server ERROR and ends all its instances.
        ");
    }

    #[test]
    fn what_was_done_is_said_of_each() {
        let results = [TreeResult::Done, TreeResult::Failed, TreeResult::UnderWay];
        insta::assert_snapshot!(words(&answer(How::Retire, &results)), @r"
        metamcp: retired: the reason
        metamcp: failed: the reason
        metamcp: under way, see the agent's log: the reason
        1 of 3 trees were retired.
        ");
        let none = words(&answer(How::Retire, &[]));
        assert_eq!(none, "metamcp has no tree to retire\n");
    }
}
