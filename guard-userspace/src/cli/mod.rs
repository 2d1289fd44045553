//! The command line: parses it, runs the command, makes the exit code.

pub mod args;
mod ask;
pub mod client;
mod compose;
mod config;
mod crisis;
mod disarm;
mod end;
mod enforce;
pub mod exit;
pub mod load;
mod manual;
pub mod out;
pub mod own;
mod prevent;
mod progress;
mod run;
pub mod status;
mod validate;
mod whole;

pub use args::Cli;
pub use exit::{Code, Failure};

use crate::doctor;
use crate::kernel::canary;
use crate::model::How;
use crate::model::whole::Whole;
use args::{Command, ConfigCommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs this binary as one of the agent's own helpers, if its command line says that it is one.
pub fn helper(arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    canary::Part::of(arguments).map(canary::Part::run)
}

/// Does what the command line says.
///
/// # Errors
/// Why it could not, or what it found, with the exit code.
pub fn dispatch(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Run(options) => run::run(options, &cli.socket),
        Command::Status(options) => status::run(options, &cli.socket),
        Command::Retire(options) => end::run(How::Retire, options, &cli.socket),
        Command::Kill(options) => end::run(How::Kill, options, &cli.socket),
        Command::Freeze(options) => whole::run(Whole::Freeze, options, &cli.socket),
        Command::Thaw(options) => whole::run(Whole::Thaw, options, &cli.socket),
        Command::Isolate(options) => {
            let action = if options.rejoin {
                Whole::Rejoin
            } else {
                Whole::Isolate
            };
            whole::run(action, &options.whole, &cli.socket)
        }
        Command::Crisis(options) => crisis::run(options, &cli.socket),
        Command::Enforce(options) => enforce::run(options, &cli.socket),
        Command::Prevent(options) => prevent::run(options, &cli.socket),
        Command::Validate(options) => validate::run(options, &cli.socket),
        Command::Compose(options) => compose::run(options, &cli.socket),
        Command::Restart(options) => whole::run(Whole::Restart, options, &cli.socket),
        Command::Recreate(options) => whole::run(Whole::Recreate, options, &cli.socket),
        Command::Disarm(options) => disarm::run(options, &cli.socket),
        Command::Config(config) => match &config.command {
            ConfigCommand::Check(options) => config::check(options),
            ConfigCommand::Show(options) => config::show(options),
        },
        Command::Doctor(options) => doctor::run(options),
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man { dir: Some(dir) } => manual::write_pages(dir),
        Command::Man { dir: None } => manual::print_page(),
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
