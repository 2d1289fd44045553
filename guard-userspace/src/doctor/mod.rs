//! `doctor`: what the guard needs of this host, what is there, and how to get the rest.

mod checks;
mod docker;
mod facts;
mod print;

pub use checks::{Check, Verdict, checks};
pub use facts::Facts;

use crate::cli::args::Doctor;
use crate::cli::exit::print_problems;
use crate::cli::{Code, Failure, load, out};
use serde::Serialize;

/// Looks at the host and the configuration and says what it finds.
///
/// # Errors
/// [`Code::CheckFailed`] when something is lacking.
pub fn run(options: &Doctor) -> Result<(), Failure> {
    let mut found = checks(&Facts::gather());
    found.push(configuration(options));
    let report = Report {
        ok: found.iter().all(|check| check.verdict != Verdict::Lack),
        checks: found,
    };
    if options.json {
        out::json(&report)?;
    } else {
        out::print(&print::table(&report.checks, print::colour()))?;
    }
    if report.ok {
        Ok(())
    } else {
        Err(Failure::said(Code::CheckFailed))
    }
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    /// Nothing is lacking.
    ok: bool,
    checks: Vec<Check>,
}

fn configuration(options: &Doctor) -> Check {
    match load::load(&options.config) {
        Err(failure) => {
            if !options.json {
                failure.print();
            }
            let fix = "see `metamcp-guard config check`";
            Check::lack("configuration", format!("{failure}"), fix)
        }
        Ok(loaded) => {
            let what = loaded
                .file
                .map_or("no file: the defaults hold".to_owned(), |file| {
                    file.display().to_string()
                });
            let warnings = loaded.checked.warnings;
            if warnings.is_empty() {
                return Check::ok("configuration", what);
            }
            if !options.json {
                print_problems(&warnings);
            }
            let causes: Vec<_> = warnings
                .iter()
                .map(|warning| warning.cause.as_str())
                .collect();
            let said = format!("{what}: {}", causes.join("; "));
            Check::warn("configuration", said, "see `metamcp-guard config check`")
        }
    }
}
