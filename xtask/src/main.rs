//! `cargo xtask`: builds, tests and runs metamcp-guard.

mod agent;
mod apt;
mod bench;
mod bpf;
mod doctor;
mod lines;
mod lint;
mod run;
mod step;
mod test;
mod tidy;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

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
    /// Run the test suites and close with one verdict.
    #[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test host kernel")]
    Test(test::Options),
    /// Check format, lints on both sides of the kernel boundary, documentation and licences.
    #[command(
        after_help = "Examples:\n  cargo xtask lint\n  cargo xtask build && cargo xtask lint"
    )]
    Lint,
    /// Check the rules that no compiler holds: who uses whom, what stays pure, sizes.
    #[command(after_help = "Examples:\n  cargo xtask tidy\n  cargo xtask test tidy")]
    Tidy,
    /// Look at what building, testing and running need; name the fix for each lack.
    #[command(
        after_help = "Examples:\n  cargo xtask doctor\n  cargo xtask build && cargo xtask doctor"
    )]
    Doctor,
    /// Measure what the guard costs here, beside its budgets, in several rounds.
    #[command(
        after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench execs --rounds 3 --json"
    )]
    Bench(bench::Options),
    /// Run one command on a kernel of Debian's, in a virtual machine.
    #[command(
        after_help = "Examples:\n  cargo xtask vm -- metamcp-guard run --demo\n  cargo xtask vm --kernel 6.12 --lsm lockdown,yama -- cat /sys/kernel/security/lsm"
    )]
    Vm(vm::Options),
}

fn main() -> ExitCode {
    match dispatch(Arguments::parse().command) {
        Ok(code) => code,
        Err(why) => {
            // Without the backtrace that RUST_BACKTRACE would add: the chain of causes says more.
            step::say(&format!("error: {why:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Build(options) => {
            let path = agent::build(&options)?;
            step::say(&format!("built {}", path.display()));
        }
        Command::Run(options) => run::run(options)?,
        Command::Test(options) => return test::run(&options),
        Command::Bench(options) => return bench::run(&options),
        Command::Doctor => return doctor::run(),
        Command::Lint => return checked(lint::run),
        Command::Tidy => return checked(tidy::run),
        Command::Vm(options) => {
            let code = vm::main(&options)?;
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A check that is a suite too, on its own.
fn checked(run: impl FnOnce() -> Result<test::Tally>) -> Result<ExitCode> {
    let tally = run()?;
    tally
        .failures
        .iter()
        .for_each(|what| println!("FAILED: {what}"));
    println!("{}", tally.sums());
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
