//! `completions` and `man`, made of the same definitions as the help.

use super::args::Cli;
use super::exit::{Code, Failure};
use super::out;
use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Prints completions for `shell`.
pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "metamcp-guard", &mut script);
    out::bytes(&script)
}

/// Prints the main page.
pub(super) fn print_page() -> Result<(), Failure> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(Cli::command());
    man.render(&mut page).context("cannot write the manual")?;
    out::bytes(&page)
}

/// Writes a page for each command into `dir`, which is made if missing.
pub(super) fn write_pages(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .with_context(|| format!("cannot write the manual to {}", dir.display()))
        .map_err(|error| Failure::new(Code::Usage, error))
}
