//! metamcp-guard: parses the command line and makes the exit code.

use clap::Parser;
use guard_userspace::cli::{self, Cli, Code};
use guard_userspace::demo::Program;
use guard_userspace::guardian;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The demo's storm is made of this binary under other names.
    if let Some(program) = Program::of(std::env::args_os()) {
        return program.run();
    }
    if let Some(code) = cli::helper(std::env::args_os()) {
        return code;
    }
    if guardian::is_meant(std::env::args_os()) {
        return guardian::run();
    }
    if guardian::thawer::is_meant(std::env::args_os()) {
        return guardian::thawer::run();
    }
    match cli::dispatch(&Cli::parse()) {
        Ok(()) => Code::Good.into(),
        Err(failure) => {
            failure.print();
            failure.code.into()
        }
    }
}
