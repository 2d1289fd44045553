//! `status`. A place-holder until the agent's branch lands.

use super::args::Status;
use super::exit::{Code, Failure};
use std::path::Path;

/// Shows what the agent knows.
///
/// # Errors
/// No agent answers.
pub fn run(_options: &Status, socket: &Path) -> Result<(), Failure> {
    let error = anyhow::anyhow!("no agent answers at {}", socket.display());
    Err(Failure::new(Code::NotFound, error))
}
