//! The agent. A place-holder until its branch lands.

use crate::cli::args::LogFormat;
use crate::cli::{Code, Failure};
use crate::config::Config;
use std::path::PathBuf;

/// How the agent runs, beside its configuration.
#[derive(Debug)]
pub struct Options {
    /// Where it answers commands.
    pub socket: PathBuf,
    /// How it logs.
    pub log_format: LogFormat,
    /// The file its configuration is from; `None`: the defaults.
    pub config_file: Option<PathBuf>,
}

/// Guards until stopped.
///
/// # Errors
/// What it could not do, with the exit code.
pub fn run(_config: Config, _options: Options) -> Result<(), Failure> {
    let error = anyhow::anyhow!("the agent is not in this build yet");
    Err(Failure::new(Code::KernelLacks, error))
}
