//! `enforce`: Docker's own limits put in force, and all that enforces read back in one table.

use super::args::Whole as Options;
use super::exit::{Code, Failure};
use super::own::{Agent, Need};
use super::{ask, client, out};
use crate::model::deed::Step;
use crate::model::order::TreeResult;
use crate::model::status::TargetStatus;
use crate::model::whole::{Whole, WholeAnswer, WholeRequest};
use anyhow::anyhow;
use serde::Serialize;
use std::path::Path;

/// The result.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    dry_run: bool,
    targets: Vec<TargetReport>,
}

/// Of one target.
#[derive(Debug, Serialize)]
pub(super) struct TargetReport {
    pub target: String,
    pub ok: bool,
    /// Why not all of it is so; empty where it is.
    pub notes: Vec<String>,
    /// Each method as it was read back.
    pub methods: Vec<Step>,
}

/// What else is read back of a target, and whether it is as it should be.
pub(super) type More = fn(&TargetStatus, Who) -> (Vec<Step>, Vec<String>);

/// Whose status it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The agent's that runs.
    Running,
    /// One's that was started for this, whose tiers are off.
    Own,
}

/// Puts the limits in force, and reads all back.
///
/// # Errors
/// No agent answers and none can be started, there is no such target, the operator did not confirm; or
/// ([`Code::CheckFailed`], said already) something is not as wanted.
pub(super) fn run(options: &Options, socket: &Path) -> Result<(), Failure> {
    limit(Whole::Enforce, options, socket, |target, who| {
        (methods(target, who), Vec::new())
    })
}

/// `enforce` and `prevent`: the same limits, another table.
///
/// # Errors
/// As [`run`].
pub(super) fn limit(
    action: Whole,
    options: &Options,
    socket: &Path,
    more: More,
) -> Result<(), Failure> {
    let target = options.target.as_deref();
    let agent = Agent::reach(socket, &options.config, target, Need::Running)?;
    let socket = agent.socket();
    let status = client::status(socket)?;
    let all = status.targets.iter();
    let meant = all.filter(|one| target.is_none_or(|name| one.name == name));
    let mut targets = Vec::new();
    let who = if agent.is_own() {
        Who::Own
    } else {
        Who::Running
    };
    for one in meant {
        let reads = |seen: &TargetStatus| more(seen, who);
        targets.push(of(action, one, options, socket, reads)?);
    }
    if targets.is_empty() {
        let error = anyhow!("there is no target {}", target.unwrap_or("yet"));
        return Err(Failure::new(Code::NotFound, error));
    }
    agent.end()?;
    if who == Who::Own {
        let note = if action == Whole::Prevent {
            "Docker's limits stay; the gate and later starts are an agent's: sudo metamcp-guard run"
        } else {
            "Docker's limits stay; the gate is in force while an agent runs: sudo metamcp-guard run"
        };
        eprintln!("{note}");
    }
    let report = Report {
        ok: targets.iter().all(|target| target.ok),
        dry_run: options.dry_run,
        targets,
    };
    let all = |report: &Report| {
        let targets = report.targets.iter().map(words);
        targets.collect::<Vec<_>>().join("\n")
    };
    out::report(&report, options.json, all, report.ok)
}

fn of(
    action: Whole,
    before: &TargetStatus,
    options: &Options,
    socket: &Path,
    more: impl Fn(&TargetStatus) -> (Vec<Step>, Vec<String>),
) -> Result<TargetReport, Failure> {
    let name = before.name.clone();
    let mut notes = Vec::new();
    let mut docker = Vec::new();
    let mut ok = true;
    match &before.sentinel.docker_limits {
        _ if before.watches.starts_with("cgroup") => {
            notes.push("it is no container: Docker has no limits for it".to_owned());
        }
        None => notes.push(
            "no [target.limits] in its configuration: Docker's own limits are left as they are"
                .to_owned(),
        ),
        Some(limits) => {
            if !options.dry_run && !options.yes {
                let would = format!("{name}: would be put in force: {limits}\n");
                ask::confirm(action.name(), &would)?;
            }
            let request = WholeRequest {
                action,
                target: Some(name.clone()),
                dry_run: options.dry_run,
            };
            let answer: WholeAnswer = client::act(socket, &request)?;
            ok = matches!(answer.result, TreeResult::Would | TreeResult::Done);
            if answer.result != TreeResult::Done {
                notes.push(answer.message);
            }
            docker = answer.steps;
        }
    }
    let now = client::status(socket)?;
    let now = now.targets.into_iter().find(|one| one.name == name);
    let (mut methods, lacks) = more(now.as_ref().unwrap_or(before));
    ok = ok && lacks.is_empty();
    notes.extend(lacks);
    methods.extend(docker);
    ok = ok && methods.iter().all(|step| step.ok);
    Ok(TargetReport {
        target: name,
        ok,
        notes,
        methods,
    })
}

/// A row that only says what is.
pub(super) fn row(what: &str, found: String, ok: bool) -> Step {
    Step {
        what: what.to_owned(),
        wanted: String::new(),
        found,
        ok,
    }
}

/// The gate and the tiers.
fn methods(target: &TargetStatus, who: Who) -> Vec<Step> {
    let mut all = vec![gate(target)];
    if let Some(limits) = &target.limits {
        let cap = limits.max_processes;
        let cap = cap.map_or_else(|| "any number".to_owned(), |cap| cap.to_string());
        let tree = limits.tree_processes;
        let reserve = limits.reserve;
        let processes = format!("{cap}, {reserve} of them for its wrappers, {tree} for each tree");
        all.push(row("gate max_processes", processes, true));
        let rate = limits.spawn_rate;
        let rate = rate.map_or_else(|| "any".to_owned(), |rate| rate.to_string());
        let rate = format!("{rate} a second after {} at once", limits.spawn_burst);
        all.push(row("gate spawn_rate", rate, true));
    }
    for (tier, on) in &target.sentinel.tiers {
        all.push(row(&format!("tier {tier}"), switch(*on, who), true));
    }
    all
}

/// Whether a tier is on.
pub(super) fn switch(on: bool, who: Who) -> String {
    let words = match (on, who) {
        (true, _) => "on",
        (false, Who::Running) => "off",
        (false, Who::Own) => "off while no agent runs",
    };
    words.to_owned()
}

/// How it refuses.
pub(super) fn gate(target: &TargetStatus) -> Step {
    let holds = target.limits.is_some();
    let found = match (holds, target.mode.as_str()) {
        (false, _) => "not in force yet".to_owned(),
        (true, "observe") => "observe: nothing is refused".to_owned(),
        (true, mode) => mode.to_owned(),
    };
    row("gate mode", found, holds)
}

/// A table of one target.
pub(super) fn words(report: &TargetReport) -> String {
    let width = report.methods.iter().map(|step| step.what.len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for step in &report.methods {
        let mark = if step.ok { "ok" } else { "NOT" };
        let wanted = match step.wanted.as_str() {
            "" => String::new(),
            wanted if wanted == step.found => String::new(),
            wanted => format!("  (wanted: {wanted})"),
        };
        let (target, what, found) = (&report.target, &step.what, &step.found);
        text.push_str(&format!(
            "{target}  {mark:<3}  {what:<width$}  {found}{wanted}\n"
        ));
    }
    for note in &report.notes {
        text.push_str(&format!("{}: {note}\n", report.target));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::LimitsStatus;
    use crate::model::status::sentinel::SentinelStatus;

    #[test]
    fn each_method_is_a_row() {
        let target = TargetStatus {
            name: "metamcp".to_owned(),
            mode: "deny".to_owned(),
            limits: Some(LimitsStatus {
                max_processes: Some(400),
                spawn_rate: Some(60),
                spawn_burst: 480,
                tree_processes: 4,
                reserve: 4,
            }),
            sentinel: SentinelStatus {
                tiers: [
                    ("host_monitor".to_owned(), true),
                    ("nuclear_monitor".to_owned(), false),
                ]
                .into(),
                ..SentinelStatus::default()
            },
            ..TargetStatus::default()
        };
        let mut methods = methods(&target, Who::Running);
        methods.push(Step {
            what: "memory".to_owned(),
            wanted: "4294967296".to_owned(),
            found: "0".to_owned(),
            ok: false,
        });
        let report = TargetReport {
            target: "metamcp".to_owned(),
            ok: false,
            notes: vec!["memory was refused".to_owned()],
            methods,
        };
        insta::assert_snapshot!(words(&report));
    }

    #[test]
    fn a_gate_that_is_not_in_force_is_not_as_wanted() {
        assert!(!gate(&TargetStatus::default()).ok);
    }
}
