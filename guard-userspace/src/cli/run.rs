//! `run`: the configuration, then the agent.

use super::args::Run;
use super::exit::{Failure, print_problems};
use super::load;
use crate::agent;
use crate::config::checked::OnAgentExit;
use crate::config::{Config, Mode};
use crate::demo;
use crate::kernel::pins::Pins;
use anyhow::{Context, anyhow};
use rustix::process::{self, Pid, Signal};
use std::path::Path;

/// Guards until stopped.
pub(super) fn run(options: &Run, socket: &Path) -> Result<(), Failure> {
    if options.demo {
        return demo::run();
    }
    let loaded = load::load(&options.config)?;
    print_problems(&loaded.checked.warnings);
    let config = loaded.checked.config;
    let mut config = load::with_targets(config, &options.containers, &options.cgroups)?;
    if let Some(command) = options.for_command {
        briefly(command, &mut config)?;
    }
    if options.observe {
        config.mode = Mode::Observe;
    }
    agent::run(
        config,
        agent::Options {
            socket: socket.to_owned(),
            log_format: options.log_format,
            config_file: loaded.file,
        },
    )
}

/// Ends with the command that this agent is for; what it puts in force ends with it, unless an agent
/// before it has left a gate.
fn briefly(command: i32, config: &mut Config) -> Result<(), Failure> {
    let told = process::set_parent_process_death_signal(Some(Signal::TERM));
    told.context("cannot follow the command that this agent is for")?;
    // It may have ended before that.
    if process::getppid().map(Pid::as_raw_nonzero).map(i32::from) != Some(command) {
        return Err(anyhow!("the command that this agent is for has ended").into());
    }
    if Pins::left().is_empty() {
        config.on_agent_exit = OnAgentExit::Release;
    }
    // It does what it is asked for, and nothing of its own accord.
    for target in &mut config.targets {
        target.tiers.switch_off();
    }
    Ok(())
}
