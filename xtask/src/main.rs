//! `cargo xtask`: builds, tests and runs metamcp-guard.

mod agent;
mod apt;
mod bpf;
mod run;
mod step;
mod toolchain;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, tests and runs metamcp-guard.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the kernel side, then the agent with it inside.
    #[command(after_help = "Examples:\n  cargo xtask build\n  cargo xtask build --debug")]
    Build(agent::Options),
    /// Build everything (release) and run the agent as root, through sudo where need be.
    #[command(after_help = "Examples:\n  cargo xtask run\n  cargo xtask run -- --demo")]
    Run(run::Options),
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Build(options) => {
            let path = agent::build(&options)?;
            step::say(&format!("built {}", path.display()));
            Ok(())
        }
        Command::Run(options) => run::run(options),
    }
}
