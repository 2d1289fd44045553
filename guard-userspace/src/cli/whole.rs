//! `freeze`, `thaw`, `isolate`, `restart` and `recreate`: done to a target as a whole, through the agent.

use super::args::Whole as Options;
use super::exit::{Code, Failure};
use super::own::{self, Agent, Need};
use super::{ask, client, out};
use crate::model::order::TreeResult;
use crate::model::whole::{Whole, WholeAnswer, WholeRequest};
use std::path::Path;

/// Does it, or says what it would come to.
///
/// # Errors
/// No agent answers, nobody is meant, the operator did not confirm; or ([`Code::CheckFailed`], said
/// already) it was not done.
pub(super) fn run(action: Whole, options: &Options, socket: &Path) -> Result<(), Failure> {
    let target = options.target.as_deref();
    // One that has ended can be started again.
    let need = match action {
        Whole::Restart | Whole::Recreate => Need::Named,
        _ => Need::Running,
    };
    let agent = Agent::reach(socket, &options.config, target, need)?;
    let socket = agent.socket();
    let mut request = WholeRequest {
        action,
        target: options.target.clone(),
        dry_run: true,
    };
    if !options.dry_run && !options.yes && asks(action) {
        let would: WholeAnswer = client::act(socket, &request)?;
        // What would not be done anyway says itself why.
        if would.result == TreeResult::Would {
            ask::confirm(action.name(), &words(&would))?;
        }
    }
    request.dry_run = options.dry_run;
    let answer: WholeAnswer = client::act(socket, &request)?;
    if options.json {
        out::json(&answer)?;
    } else {
        out::print(&words(&answer))?;
    }
    if action == Whole::Freeze && answer.result == TreeResult::Done && agent.is_own() {
        eprintln!("it stays frozen as long as this command runs: Ctrl-C thaws it");
        own::until_told()?;
    }
    agent.end()?;
    judge(answer.result)
}

/// What costs nothing is done at once.
const fn asks(action: Whole) -> bool {
    !matches!(action, Whole::Thaw | Whole::Rejoin)
}

/// # Errors
/// It is not as it was to be.
pub(super) fn judge(result: TreeResult) -> Result<(), Failure> {
    match result {
        TreeResult::Would | TreeResult::Done => Ok(()),
        _ => Err(Failure::said(Code::CheckFailed)),
    }
}

/// The answer as lines for a terminal.
pub(super) fn words(answer: &WholeAnswer) -> String {
    let (target, action, message) = (&answer.target, answer.action.name(), &answer.message);
    let head = match answer.result {
        TreeResult::Would => format!("{action}: {message}. It would cost: {}", answer.cost),
        TreeResult::Refused => format!("not done ({action}): {message}"),
        TreeResult::UnderWay => format!("{action} is under way; the agent's log says how it ends"),
        // The outcome begins with it already.
        TreeResult::Done => message.clone(),
        TreeResult::Failed => format!("{action} failed: {message}"),
    };
    let mut text = format!("{target}: {head}\n");
    for step in &answer.steps {
        let mark = if step.ok { "ok" } else { "NOT" };
        let wanted = match step.wanted.as_str() {
            "" => String::new(),
            wanted if wanted == step.found => String::new(),
            wanted => format!(" (wanted: {wanted})"),
        };
        text.push_str(&format!(
            "  {mark:<3} {}: {}{wanted}\n",
            step.what, step.found
        ));
    }
    for tree in &answer.trees {
        text.push_str(&format!(
            "  tree of pid {}, {}: {}\n",
            tree.root, tree.family, tree.message
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deed::Step;

    fn answer(result: TreeResult, message: &str) -> WholeAnswer {
        WholeAnswer {
            action: Whole::Restart,
            target: "metamcp".to_owned(),
            dry_run: result == TreeResult::Would,
            result,
            message: message.to_owned(),
            cost: "all sessions end".to_owned(),
            steps: Vec::new(),
            trees: Vec::new(),
        }
    }

    #[test]
    fn each_way_to_end_is_said() {
        let would = answer(TreeResult::Would, "dry run: would have done: restart");
        insta::assert_snapshot!(words(&would), @"metamcp: restart: dry run: would have done: restart. It would cost: all sessions end");
        let refused = answer(TreeResult::Refused, "metamcp is no container");
        insta::assert_snapshot!(words(&refused), @"metamcp: not done (restart): metamcp is no container");
        let mut done = answer(TreeResult::Done, "done: restart");
        let step = |what: &str, wanted: &str, found: &str, ok| Step {
            what: what.to_owned(),
            wanted: wanted.to_owned(),
            found: found.to_owned(),
            ok,
        };
        done.steps = vec![
            step("stop", "", "stopped after 0.4 s", true),
            step("memory", "4294967296", "4294967296", true),
            step("nofile", "1024:2048", "1048576:1048576", false),
        ];
        insta::assert_snapshot!(words(&done), @r"
        metamcp: done: restart
          ok  stop: stopped after 0.4 s
          ok  memory: 4294967296
          NOT nofile: 1048576:1048576 (wanted: 1024:2048)
        ");
        assert!(judge(TreeResult::Done).is_ok() && judge(TreeResult::Would).is_ok());
        for result in [
            TreeResult::Refused,
            TreeResult::Failed,
            TreeResult::UnderWay,
        ] {
            assert_eq!(judge(result).unwrap_err().code, Code::CheckFailed);
        }
    }
}
