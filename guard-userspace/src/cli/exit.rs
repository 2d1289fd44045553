//! Exit codes, made here alone, and the error that carries one from where it arises to `main`.

use crate::config::{ConfigError, error};
use core::fmt;
use std::io::IsTerminal;
use std::process::ExitCode;

/// What the shell is told. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// All is well.
    Good = 0,
    /// A check found something: `status` above warning, `doctor`. Also any error that has no
    /// code of its own.
    CheckFailed = 1,
    /// Bad usage or configuration.
    Usage = 2,
    /// Not allowed.
    NoPermission = 3,
    /// No such target, or no agent to ask.
    NotFound = 4,
    /// The kernel lacks what is needed.
    KernelLacks = 5,
    /// Another agent holds the gate.
    Held = 6,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command ended, and what the shell is told of it.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// Thing, cause and fix. `None`: the command's own output has said it.
    pub error: Option<anyhow::Error>,
}

impl Failure {
    /// `error` with its exit code.
    #[must_use]
    pub fn new(code: Code, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: Some(error.into()),
        }
    }

    /// An exit code alone, after output that says why.
    #[must_use]
    pub const fn said(code: Code) -> Self {
        Self { code, error: None }
    }

    /// Says it on standard error.
    pub fn print(&self) {
        let Some(error) = &self.error else { return };
        match error.downcast_ref::<ConfigError>() {
            Some(config) => print_problems(&config.problems),
            None => eprintln!("metamcp-guard: {error:#}"),
        }
    }
}

/// An error without a code of its own.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Code::CheckFailed, error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Code::Usage, error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(out, "{error:#}"),
            None => write!(out, "exit code {}", self.code as u8),
        }
    }
}

/// Shows problems of a configuration on standard error, with the lines they are about.
pub fn print_problems(problems: &[crate::config::Problem]) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", error::render(problems, colour, WIDTH));
}

/// Columns that messages are wrapped to.
const WIDTH: usize = 100;
