//! `crisis`: the protocol's decision tree on what is there now. What is wrong, what will be done, and
//! then that, step by step, until it is better for sure.

mod verdict;

use super::args::Crisis as Options;
use super::exit::{Code, Failure};
use super::own::{Agent, Need};
use super::progress::Wait;
use super::{ask, client, out, whole};
use crate::model::order::TreeResult;
use crate::model::status::TargetStatus;
use crate::model::whole::{Whole, WholeAnswer, WholeRequest};
use crate::model::{Level, Status};
use anyhow::anyhow;
use serde::Serialize;
use std::path::Path;
use std::thread;
use std::time::Duration;
use verdict::{Step, Verdict, is_better, level, next, verdict};

/// Between the two looks from which a trend is seen.
const TREND: Duration = Duration::from_secs(2);

/// Between two looks of a wait.
const EVERY: Duration = Duration::from_secs(1);

/// Looks in a row that must show it better.
const PROOF: u32 = 3;

/// While a cleanup is waited for, it is done again after so many looks: what is idle is known only
/// after a while.
const AGAIN: u32 = 10;

/// The result.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    dry_run: bool,
    targets: Vec<TargetReport>,
}

#[derive(Debug, Serialize)]
struct TargetReport {
    verdict: Verdict,
    steps: Vec<Step>,
    ok: bool,
}

/// Looks, says, asks, does.
///
/// # Errors
/// No agent answers and none can be started, there is no such target, the operator did not confirm; or
/// ([`Code::CheckFailed`], said already) it is not better at the end.
pub(super) fn run(options: &Options, socket: &Path) -> Result<(), Failure> {
    let target = options.whole.target.as_deref();
    let agent = Agent::reach(socket, &options.whole.config, target, Need::Running)?;
    let before = client::status(agent.socket())?;
    thread::sleep(TREND);
    let now = client::status(agent.socket())?;
    let mut targets = Vec::new();
    for seen in now
        .targets
        .iter()
        .filter(|one| target.is_none_or(|name| one.name == name))
    {
        let earlier = find(&before, &seen.name).unwrap_or(seen);
        let verdict = verdict(earlier, seen);
        eprint!("{}", verdict::words(&verdict));
        let steps = Act {
            socket: agent.socket(),
            options,
            target: &seen.name,
            is_container: !seen.watches.starts_with("cgroup"),
        };
        let steps = steps.until_better(level(seen))?;
        let ok = options.whole.dry_run
            || level(seen) < Level::Critical
            || steps.last().is_some_and(|step| step.better);
        targets.push(TargetReport { verdict, steps, ok });
    }
    if targets.is_empty() {
        let error = anyhow!("there is no target {}", target.unwrap_or("yet"));
        return Err(Failure::new(Code::NotFound, error));
    }
    agent.end()?;
    let report = Report {
        ok: targets.iter().all(|target| target.ok),
        dry_run: options.whole.dry_run,
        targets,
    };
    out::report(&report, options.whole.json, words, report.ok)
}

fn find<'a>(status: &'a Status, name: &str) -> Option<&'a TargetStatus> {
    status.targets.iter().find(|one| one.name == name)
}

/// What is done to one target.
struct Act<'a> {
    socket: &'a Path,
    options: &'a Options,
    target: &'a str,
    is_container: bool,
}

impl Act<'_> {
    fn until_better(&self, level: Level) -> Result<Vec<Step>, Failure> {
        let mut steps: Vec<Step> = Vec::new();
        if level < Level::Critical {
            return Ok(steps);
        }
        while let Some((option, action)) = next(&steps, self.is_container) {
            let (target, name) = (self.target, action.name());
            let would = self.order(action, true)?;
            if self.options.whole.dry_run {
                eprint!("option {option}: {}", whole::words(&would));
                steps.push(step(option, &would, level.name(), false));
                continue;
            }
            if !self.options.whole.yes && would.result == TreeResult::Would {
                let words = format!("option {option}: {}", whole::words(&would));
                ask::confirm("crisis", &words)?;
            }
            eprintln!("{target}: option {option}: {name} …");
            let answer = self.order(action, false)?;
            eprint!("option {option}: {}", whole::words(&answer));
            let (level, better) = self.watch(action, &answer)?;
            let taken = step(option, &answer, &level, better);
            let is = if better { "better" } else { "not better yet" };
            eprintln!("{target}: after {name}: {level}, {is}");
            steps.push(taken);
            if better {
                break;
            }
        }
        Ok(steps)
    }

    fn order(&self, action: Whole, dry_run: bool) -> Result<WholeAnswer, Failure> {
        let request = WholeRequest {
            action,
            target: Some(self.target.to_owned()),
            dry_run,
        };
        Ok(client::act(self.socket, &request)?)
    }

    /// Looks until it is better for sure, or was waited for long enough; says the level then.
    fn watch(&self, action: Whole, answer: &WholeAnswer) -> Result<(String, bool), Failure> {
        let goes_on = matches!(answer.result, TreeResult::Done | TreeResult::UnderWay);
        if action != Whole::Cleanup && !goes_on {
            // What was not done makes nothing better: the next option, at once.
            return Ok((self.look()?.0, false));
        }
        let what = format!("{}: {}", self.target, action.name());
        let mut wait = Wait::begin(&what, self.options.wait);
        let (mut good, mut looks) = (0, 0_u32);
        loop {
            thread::sleep(EVERY);
            let (level, better) = self.look()?;
            good = if better { good + 1 } else { 0 };
            looks += 1;
            if good >= PROOF || wait.is_over() {
                return Ok((level, good >= PROOF));
            }
            if action == Whole::Cleanup && good == 0 && looks.is_multiple_of(AGAIN) {
                self.order(action, false)?;
            }
            wait.say(&level);
        }
    }

    fn look(&self) -> Result<(String, bool), Failure> {
        let status = client::status(self.socket)?;
        let seen = find(&status, self.target).filter(|seen| seen.armed);
        Ok(seen.map_or_else(
            || ("not there".to_owned(), false),
            |seen| (level(seen).name().to_owned(), is_better(seen)),
        ))
    }
}

fn step(option: char, answer: &WholeAnswer, level: &str, better: bool) -> Step {
    Step {
        option,
        action: answer.action,
        result: answer.result,
        message: answer.message.clone(),
        level: level.to_owned(),
        better,
    }
}

fn words(report: &Report) -> String {
    let mut text = String::new();
    for one in &report.targets {
        let (target, level) = (&one.verdict.target, &one.verdict.level);
        let line = match (one.steps.last(), one.ok) {
            (None, _) => format!("{level}: {}", one.verdict.advice),
            (Some(_), _) if report.dry_run => "a dry run: nothing was done".to_owned(),
            (Some(last), true) => format!(
                "better: {} after option {} ({}); `metamcp-guard validate` proves the recovery",
                last.level,
                last.option,
                last.action.name()
            ),
            (Some(last), false) => format!(
                "NOT better: still {} after option {} ({}): {}",
                last.level,
                last.option,
                last.action.name(),
                last.message
            ),
        };
        text.push_str(&format!("{target}: {line}\n"));
    }
    text
}
