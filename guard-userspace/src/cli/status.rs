//! `status`: what the running agent knows, for people or as JSON.

use super::args::Status as Options;
use super::client::ClientError;
use super::exit::{Code, Failure};
use super::{client, out};
use crate::agent::clock;
use crate::kernel::events::Events;
use crate::kernel::left;
use crate::model::status::sentinel::SentinelStatus;
use crate::model::status::{GateStatus, Status, TargetStatus};
use anyhow::{Context, anyhow};
use std::path::Path;

/// Shows what the agent knows.
///
/// # Errors
/// No agent answers; or ([`Code::CheckFailed`], said already) a target is above warning.
pub fn run(options: &Options, socket: &Path) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let body = match runtime.block_on(client::get(socket, "/api/v1/status")) {
        Err(error @ ClientError::NoAgent(_)) => return Err(without_agent(&error)),
        asked => asked?,
    };
    let status: Status = serde_json::from_slice(&body)
        .context("the agent's answer is no status: is it of another version?")?;
    if options.json {
        out::json(&status)?;
    } else {
        out::print(&table(&status))?;
    }
    if status.targets.iter().any(is_above_warning) {
        return Err(Failure::said(Code::CheckFailed));
    }
    Ok(())
}

/// What is at work all the same.
fn without_agent(error: &ClientError) -> Failure {
    let error = match left::look(clock::awake_ns()) {
        Some(gate) => {
            anyhow!("{error}, which takes it over; {gate}. Take it away: sudo metamcp-guard disarm")
        }
        None => anyhow!("{error}"),
    };
    Failure::new(Code::NotFound, error)
}

fn is_above_warning(target: &TargetStatus) -> bool {
    !matches!(target.level.as_str(), "normal" | "warning")
}

const HEADS: [&str; 10] = [
    "TARGET", "LEVEL", "LIVE", "CAP", "TASKS", "SPAWN/S", "SPAWNS", "DENIED", "KILLED", "MODE",
];

/// The status as lines for a terminal.
fn table(status: &Status) -> String {
    let mut rows = vec![HEADS.map(str::to_owned)];
    rows.extend(status.targets.iter().map(row));
    let mut text = format!(
        "metamcp-guard {} (pid {}), {}, {}\n",
        status.version,
        status.pid,
        status.mode,
        gate(&status.gate)
    );
    for problem in status.problems.iter().chain(&status.degraded) {
        text.push_str(&format!("! {problem}\n"));
    }
    if status.counting == Events::Typed.name() {
        text.push_str(
            "! counting goes by tp_btf, which may miss events: tracefs shows none (lockdown)\n",
        );
    }
    text.push('\n');
    let widths = widths(&rows);
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                // Names to the left, figures to the right.
                match column {
                    0 | 1 | 9 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                }
            });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    for target in &status.targets {
        for note in notes(target) {
            text.push_str(&format!("\n{}: {note}", target.name));
        }
    }
    text.trim_end().to_owned() + "\n"
}

fn gate(gate: &GateStatus) -> String {
    let proved = if gate.proved { "proved" } else { "NOT PROVED" };
    let errno = gate.errno.as_ref();
    let errno = errno.map_or(String::new(), |errno| format!(" ({errno})"));
    format!("gate {}{errno} {proved}: {}", gate.mode, gate.why)
}

fn row(target: &TargetStatus) -> [String; 10] {
    let counts = &target.counts;
    let cap = target
        .limits
        .as_ref()
        .and_then(|limits| limits.max_processes);
    let figures = [
        Some(counts.live),
        cap,
        Some(counts.tasks),
        Some(target.spawn_rate),
        Some(counts.spawns),
        Some(counts.denied),
        Some(counts.killed),
    ];
    let [live, cap, tasks, rate, spawns, denied, killed] =
        figures.map(|figure| figure.map_or_else(|| "-".to_owned(), |n| n.to_string()));
    let level = if target.armed {
        &target.level
    } else {
        "waiting"
    };
    [
        target.name.clone(),
        level.to_owned(),
        live,
        cap,
        tasks,
        rate,
        spawns,
        denied,
        killed,
        target.mode.clone(),
    ]
}

fn widths(rows: &[[String; 10]]) -> [usize; 10] {
    let mut widths = [0; 10];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths
}

/// Families that are shown; `--json` has all.
const FAMILIES: usize = 8;

/// Who holds the slots.
fn slots(target: &TargetStatus) -> Vec<String> {
    let Some(free) = target.free else {
        return Vec::new();
    };
    let mut lines = vec![format!(
        "{} slots taken, {} of them reserved and unused; {free} free for trees",
        target.committed, target.reserved
    )];
    for gateway in &target.gateways {
        lines.push(format!("gateway {}: {}", gateway.pid, gateway.program));
    }
    for family in target.families.iter().take(FAMILIES) {
        lines.push(format!(
            "{} slots: {} trees of {} ({} processes)",
            family.slots, family.trees, family.name, family.processes
        ));
    }
    let more = target.families.len().saturating_sub(FAMILIES);
    if more > 0 {
        lines.push(format!("and {more} families more: --json shows all"));
    }
    lines
}

/// What the figures do not say.
fn notes(target: &TargetStatus) -> Vec<String> {
    let mut notes = Vec::new();
    match &target.cgroup {
        Some(cgroup) => notes.push(format!("{} at {}", target.watches, cgroup.path)),
        None => notes.push(format!("waiting for {}", target.watches)),
    }
    if !target.contains.is_empty() {
        notes.push(format!(
            "its counts have those of {} in them, which are held to their own limits",
            target.contains.join(", ")
        ));
    }
    notes.extend(slots(target));
    if target.level != "normal" {
        notes.push(format!("{}: {}", target.level, target.level_why));
    }
    if let Some(storm) = &target.storm {
        let when = if storm.running {
            "spawns are being refused"
        } else {
            "spawns were refused last time"
        };
        notes.push(format!("{when}; the first: {}", storm.words));
    }
    if target.host_asked {
        notes.push(
            "near its limits each exec of the whole host is asked about, since it shares the host's \
             mounts: run it in a container, or give it a mount namespace of its own"
                .to_owned(),
        );
    }
    notes.extend(sentinel(&target.sentinel));
    if let Some(failed) = &target.failed_action {
        notes.push(format!("not done: {failed}"));
    }
    let lost: u64 = target.lost_events.values().sum();
    if lost > 0 {
        notes.push(format!(
            "{lost} events could not be observed; totals stay exact"
        ));
    }
    notes
}

/// What was done to it, and what it suffers.
fn sentinel(seen: &SentinelStatus) -> Vec<String> {
    let incident = seen.incident.iter().map(|open| {
        let (id, why, peak) = (open.id, &open.why, open.peak_live);
        let step = open.escalation;
        format!("incident {id} is open, escalation {step} of 4, at most {peak} live: {why}")
    });
    let mut notes: Vec<String> = incident.collect();
    let mut say = |is: bool, note: &str| {
        if is {
            notes.push(note.to_owned());
        }
    };
    say(seen.frozen, "frozen: `metamcp-guard thaw` lets it go on");
    say(
        seen.isolated,
        "cut off from its networks: `metamcp-guard isolate --rejoin` is the way back",
    );
    say(
        seen.pressed_since_ms.is_some(),
        "under pressure: spawns are refused, memory runs out, or the host suffers",
    );
    say(seen.health == "unhealthy", "its health check fails");
    if let Some(deed) = &seen.under_way {
        notes.push(format!("{deed} is under way"));
    }
    if let Some(cap) = seen.tight_cap {
        notes.push(format!("the gate is tightened to {cap} processes"));
    }
    if seen.restarts > 0 {
        let (all, hour) = (seen.restarts, seen.restarts_last_hour);
        let most = seen.max_restarts_per_hour;
        notes.push(format!(
            "restarted {all} times, {hour} of at most {most} within the hour of its own accord"
        ));
    }
    if let Some(failed) = &seen.failed_deed {
        notes.push(format!("not done: {failed}"));
    }
    for zombies in &seen.zombies {
        notes.push(format!(
            "{} (pid {}) has {} zombies",
            zombies.comm, zombies.pid, zombies.zombies
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
