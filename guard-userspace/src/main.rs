//! metamcp-guard: parses the command line and makes the exit code.

use clap::Parser;
use guard_userspace::cli::{self, Cli, Code};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::dispatch(&Cli::parse()) {
        Ok(()) => Code::Good.into(),
        Err(failure) => {
            failure.print();
            failure.code.into()
        }
    }
}
