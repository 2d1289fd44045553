//! `cargo xtask bench`: what the guard costs on this machine, with the budgets beside it.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::{agent, apt, step, workspace};

/// What is to be measured.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Parts of it (default: all): programs, forks, execs, agent, reaction.
    parts: Vec<String>,
    /// Rounds; each figure is their median.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// One line of JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Builds agent and bench (release) and runs it. A missed budget is said and no failure.
pub fn run(options: &Options) -> Result<ExitCode> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "measuring needs root for cgroups and BPF: run it through sudo"
    );
    apt::ensure(&["libc6-dev"], "linking the agent statically")?;
    let agent = agent::build(&agent::Options::static_release())?;
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--package", "guard-tests", "--bench", "kernel"]);
    agent::statically(&mut cargo);
    cargo
        .arg("--")
        .arg("--rounds")
        .arg(options.rounds.to_string());
    if options.json {
        cargo.arg("--json");
    }
    cargo.args(&options.parts).env("GUARD_AGENT", agent);
    step::run(&mut cargo)?;
    Ok(ExitCode::SUCCESS)
}
