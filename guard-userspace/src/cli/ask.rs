//! Asks whoever is at the terminal before something is done.

use super::exit::{Code, Failure};
use anyhow::{Context, anyhow};
use std::io::{self, BufRead, IsTerminal, Write};

/// Shows what would be done and asks.
///
/// # Errors
/// Nobody is there to ask, which is said with how to go on; or the answer is no.
pub(super) fn confirm(command: &str, would: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let error = anyhow!(
            "{command} asks before it acts, and standard input is no terminal: say --yes, or look \
             first with --dry-run"
        );
        return Err(Failure::new(Code::Usage, error));
    }
    eprint!("{would}Go on? [y/N] ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.context("cannot read the answer")?;
    if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Code::CheckFailed, anyhow!("nothing was done")))
}
