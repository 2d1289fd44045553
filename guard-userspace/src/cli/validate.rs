//! `validate`: whether it is over, by the protocol's five criteria, over a window of time.

mod judge;

use super::args::Validate as Options;
use super::exit::{Code, Failure};
use super::own::{Agent, Need};
use super::progress::Wait;
use super::{client, out};
use crate::model::Status;
use judge::{Criterion, Sample, Stands, judge};
use serde::Serialize;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// The result.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    /// How long it was looked, in seconds.
    looked_s: u64,
    targets: Vec<TargetReport>,
}

#[derive(Debug, Serialize)]
struct TargetReport {
    target: String,
    ok: bool,
    criteria: Vec<Criterion>,
}

/// Looks for as long as the window is, and judges.
///
/// # Errors
/// No agent answers and none can be started, there is no such target; or ([`Code::CheckFailed`], said
/// already) a criterion failed.
pub(super) fn run(options: &Options, socket: &Path) -> Result<(), Failure> {
    let target = options.target.as_deref();
    let agent = Agent::reach(socket, &options.config, target, Need::Running)?;
    let names = names(&client::status(agent.socket())?, target)?;
    let mut series: Vec<(String, Vec<Sample>)> = Vec::new();
    series.extend(names.into_iter().map(|name| (name, Vec::new())));
    let mut wait = Wait::begin("validating", options.window);
    let report = loop {
        let status = client::status(agent.socket());
        for (name, samples) in &mut series {
            let mut sample = look(status.as_ref().ok(), name, wait.elapsed());
            sample.own = agent.is_own();
            samples.push(sample);
        }
        let over = wait.is_over();
        let report = report(&series, over, wait.elapsed());
        let failed = |one: &TargetReport| one.criteria.iter().any(|c| c.result == Stands::Failed);
        if over || report.targets.iter().any(failed) {
            break report;
        }
        wait.say(&so_far(&series));
        thread::sleep(EVERY);
    };
    drop(wait);
    agent.end()?;
    out::report(&report, options.json, words, report.ok)
}

/// # Errors
/// There is no such target.
fn names(status: &Status, target: Option<&str>) -> Result<Vec<String>, Failure> {
    let all = status.targets.iter().map(|one| one.name.clone());
    let names: Vec<String> = all
        .filter(|name| target.is_none_or(|target| target == name))
        .collect();
    if names.is_empty() {
        let words = format!("there is no target {}", target.unwrap_or("yet"));
        return Err(Failure::new(Code::NotFound, anyhow::anyhow!(words)));
    }
    Ok(names)
}

fn look(status: Option<&Status>, name: &str, at: Duration) -> Sample {
    let seen = status.and_then(|status| Sample::of(status, name, at));
    seen.unwrap_or_else(|| Sample {
        at,
        agent: vec!["the agent does not answer, or has lost the target".to_owned()],
        ..Sample::default()
    })
}

fn report(series: &[(String, Vec<Sample>)], over: bool, looked: Duration) -> Report {
    let targets: Vec<TargetReport> = series
        .iter()
        .map(|(name, samples)| {
            let criteria = judge(samples, over);
            let good = |one: &Criterion| matches!(one.result, Stands::Holds | Stands::Unread);
            TargetReport {
                target: name.clone(),
                ok: criteria.iter().all(good),
                criteria,
            }
        })
        .collect();
    Report {
        ok: targets.iter().all(|target| target.ok),
        looked_s: looked.as_secs(),
        targets,
    }
}

fn so_far(series: &[(String, Vec<Sample>)]) -> String {
    let last = series.iter().filter_map(|(name, samples)| {
        let last = samples.last()?;
        let (what, count) = last.count();
        Some(format!("{name} has {count} {what}"))
    });
    last.collect::<Vec<_>>().join(", ")
}

fn words(report: &Report) -> String {
    let mut text = String::new();
    for target in &report.targets {
        for one in &target.criteria {
            let mark = match one.result {
                Stands::Holds => "ok",
                Stands::Failed => "FAILED",
                Stands::Unread => "not read",
                Stands::Open => "open",
            };
            let (name, criterion, words) = (&target.target, one.name, &one.words);
            text.push_str(&format!("{name}: {mark:<8} {criterion}: {words}\n"));
        }
    }
    let looked = report.looked_s;
    text.push_str(&if report.ok {
        format!("recovered: all that could be read held for {looked} s\n")
    } else {
        format!("NOT recovered, seen after {looked} s\n")
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_criterion_has_its_line() {
        let criterion = |name, result, words: &str| Criterion {
            name,
            result,
            words: words.to_owned(),
        };
        let report = Report {
            ok: false,
            looked_s: 12,
            targets: vec![TargetReport {
                target: "metamcp".to_owned(),
                ok: false,
                criteria: vec![
                    criterion("processes", Stands::Holds, "at most 3"),
                    criterion("growth", Stands::Failed, "from 3 to 40, and never fell"),
                    criterion("health", Stands::Unread, "it has no health check"),
                ],
            }],
        };
        insta::assert_snapshot!(words(&report), @r"
        metamcp: ok       processes: at most 3
        metamcp: FAILED   growth: from 3 to 40, and never fell
        metamcp: not read health: it has no health check
        NOT recovered, seen after 12 s
        ");
    }

    #[test]
    fn an_agent_that_does_not_answer_fails_it() {
        let series = vec![("a".to_owned(), vec![look(None, "a", Duration::ZERO)])];
        let report = report(&series, false, Duration::ZERO);
        assert!(!report.ok);
    }
}
