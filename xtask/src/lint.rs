//! `cargo xtask lint`: format, clippy on both sides of the kernel boundary, rustdoc, licences.

mod licences;

use std::process::Command;

use anyhow::Result;

use crate::test::Tally;
use crate::toolchain::Toolchain;
use crate::{step, workspace};

/// Runs all checks and says which failed; each counts as one test.
pub fn run() -> Result<Tally> {
    let mut tally = Tally::default();
    let mut check = |name: &str, result: Result<()>| match result {
        Ok(()) => {
            step::say(&format!("lint: {name}: good"));
            tally.pass();
        }
        Err(why) => {
            step::say(&format!("lint: {name}: {why:#}"));
            tally.fail(name);
        }
    };
    check(
        "format",
        step::run(cargo().args(["fmt", "--all", "--check"])),
    );
    check(
        "clippy, host side",
        step::run(cargo().args(["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"])),
    );
    check(
        "clippy, kernel side",
        Toolchain::ensure().and_then(|found| found.clippy()),
    );
    check(
        "rustdoc",
        step::run(
            cargo()
                .args(["doc", "--quiet", "--no-deps", "--document-private-items"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        ),
    );
    check("licences and bans", licences::check());
    Ok(tally)
}

fn cargo() -> Command {
    workspace::cargo()
}
