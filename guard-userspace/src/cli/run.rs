//! `run`: the configuration, then the agent.

use super::args::Run;
use super::exit::{Failure, print_problems};
use super::load;
use crate::agent;
use crate::config::Mode;
use crate::demo;
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
