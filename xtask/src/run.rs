//! `cargo xtask run`: the newcomer's one command.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{agent, step};

/// What is built and how it is started.
#[derive(clap::Args)]
pub struct Options {
    /// A ready BPF object instead of building one.
    #[arg(long, value_name = "FILE")]
    bpf_object: Option<PathBuf>,
    /// Arguments for the agent; `--demo`, for one. Without a command among them it is `run`.
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// Builds the agent and becomes it, as root.
///
/// # Errors
/// The build failed, or the agent cannot be started; otherwise this does not return.
pub fn run(options: Options) -> Result<()> {
    let agent = agent::build(&agent::Options::release(options.bpf_object))?;
    let mut command = as_root(&agent);
    command.args(with_command(options.arguments));
    let shown = step::shown(&command);
    Err(command.exec()).with_context(|| format!("cannot start {shown}"))
}

/// The program itself where we are root, else through sudo, which must not lose the way to Docker.
fn as_root(program: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    step::say("the agent needs root: starting it through sudo");
    let mut sudo = Command::new("sudo");
    sudo.args(["--preserve-env=DOCKER_HOST", "--"]).arg(program);
    sudo
}

/// `-- --demo` means `run --demo`: the agent's own `run` is what one wants of `xtask run`.
fn with_command(arguments: Vec<OsString>) -> Vec<OsString> {
    let names_one = arguments
        .first()
        .and_then(|first| first.to_str())
        .is_some_and(|first| {
            !first.starts_with('-') || ["--help", "-h", "--version", "-V"].contains(&first)
        });
    let run = (!names_one).then(|| OsString::from("run"));
    run.into_iter().chain(arguments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_alone_mean_the_agents_run() {
        let check = |given: &[&str], expected: &[&str]| {
            let given = given.iter().map(OsString::from).collect();
            assert_eq!(with_command(given), expected);
        };
        check(&[], &["run"]);
        check(&["--demo"], &["run", "--demo"]);
        check(&["status", "--json"], &["status", "--json"]);
        check(&["--help"], &["--help"]);
    }
}
