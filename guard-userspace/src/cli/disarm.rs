//! `disarm`: takes the gate away, through the running agent or without one.

use super::args::Disarm as Options;
use super::client::{self, ClientError};
use super::exit::{Code, Failure};
use super::out;
use crate::agent::lock::Lock;
use crate::kernel::pins::Pins;
use crate::model::order::{Disarm, DisarmAnswer, DisarmRequest};
use anyhow::{Context, anyhow};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Longest that the agent may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes the gate away, or one target out of it.
///
/// # Errors
/// It may not, there is no such target, another agent holds the gate; or something stays.
pub(super) fn run(options: &Options, socket: &Path) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        let error = anyhow!("the gate is root's: run it with sudo");
        return Err(Failure::new(Code::NoPermission, error));
    }
    let request = DisarmRequest {
        action: Disarm::Disarm,
        target: options.target.clone(),
        dry_run: options.dry_run,
    };
    let answer: Option<DisarmAnswer> = match client::act(socket, &request) {
        Ok(answer) => Some(answer),
        Err(ClientError::NoAgent(_)) => None,
        // It has ended while it answered.
        Err(ClientError::Broken { .. }) if !options.dry_run && options.target.is_none() => None,
        Err(error) => return Err(error.into()),
    };
    match answer {
        Some(answer) if options.dry_run || !answer.ends => say(options, &answer),
        Some(answer) => {
            alone(socket, false)?;
            say(options, &answer)
        }
        None => without_agent(options, socket),
    }
}

fn without_agent(options: &Options, socket: &Path) -> Result<(), Failure> {
    if let Some(target) = &options.target {
        let error = anyhow!(
            "no agent answers at {} that could let go of {target} alone; without a target all of the \
             gate is taken away",
            socket.display()
        );
        return Err(Failure::new(Code::NotFound, error));
    }
    alone(socket, options.dry_run)?;
    let answer = DisarmAnswer {
        action: Disarm::Disarm,
        dry_run: options.dry_run,
        targets: Vec::new(),
        ends: false,
    };
    say(options, &answer)
}

/// Removes what no agent holds any more, once none does.
fn alone(socket: &Path, dry_run: bool) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    let _lock = loop {
        match Lock::take(socket) {
            Ok(lock) => break lock,
            Err(failure) if failure.code != Code::Held || Instant::now() > until => {
                return Err(failure);
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    };
    if dry_run {
        return Ok(());
    }
    for pins in Pins::left() {
        pins.remove().context("the gate is not taken away")?;
    }
    Ok(())
}

fn say(options: &Options, answer: &DisarmAnswer) -> Result<(), Failure> {
    if options.json {
        return out::json(answer);
    }
    let would = if answer.dry_run { "would be" } else { "is" };
    let of = answer.targets.join(", ");
    out::print(&match (&options.target, answer.ends) {
        (Some(target), _) => format!("{target} {would} let go of: nothing is refused there.\n"),
        (None, true) => format!("the gate {would} taken away, and the agent ended ({of}).\n"),
        (None, false) => format!("no agent runs; what one has left {would} taken away.\n"),
    })
}
