//! `cargo xtask test`: from a bare machine to one verdict.

mod docker;
mod matrix;
pub mod programs;
mod suites;
mod tally;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{bpf, lint, step, tidy};
use suites::{BY_NAME, Kind, SUITES, Suite};
pub use tally::Tally;

/// Which suites run.
#[derive(clap::Args)]
pub struct Options {
    /// The suites to run; without any all but those that run by their name alone.
    #[arg(value_name = "SUITE")]
    suites: Vec<String>,
    /// List the suites and stop.
    #[arg(long)]
    list: bool,
    /// Instead of suites: what each mode holds on which kernel, in some thirty minutes; writes
    /// docs/kernels.md. The names are cells then; with --list none is run.
    #[arg(long)]
    matrix: bool,
}

/// One row of the closing table.
struct Row {
    name: &'static str,
    time: Duration,
    tally: Tally,
}

/// Runs the suites; the last line printed is `N passed, N failed[, N skipped]`.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.matrix && options.list {
        matrix::write()?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.list {
        for suite in SUITES {
            println!("{:<14} {}", suite.name, suite.about);
        }
        for suite in BY_NAME {
            println!("{:<14} by name only: {}", suite.name, suite.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if options.matrix {
        return matrix::run(&options.suites);
    }
    let chosen = choose(&options.suites)?;
    let mut rows = vec![row("set-up", || {
        bpf::objects(None).map(|()| Tally::default())
    })];
    if rows.iter().all(|row| row.tally.failed == 0) {
        for suite in chosen {
            step::say(&format!("suite {}: {}", suite.name, suite.about));
            let row = row(suite.name, || one(&suite.kind));
            step::say(&verdict(&row));
            rows.push(row);
        }
    }
    Ok(close(&rows))
}

fn choose(names: &[String]) -> Result<Vec<&'static Suite>> {
    if names.is_empty() {
        return Ok(SUITES.iter().collect());
    }
    let known = || {
        let all = SUITES.iter().chain(BY_NAME);
        all.map(|suite| suite.name).collect::<Vec<_>>().join(", ")
    };
    names
        .iter()
        .map(|name| match suites::find(name) {
            Some(suite) => Ok(suite),
            None => bail!("there is no suite `{name}`; there are: {}", known()),
        })
        .collect()
}

fn one(kind: &Kind) -> Result<Tally> {
    match kind {
        Kind::Lint => lint::run(),
        Kind::Tidy => tidy::run(),
        Kind::Host => programs::host(),
        Kind::Binary(binary) => programs::binary(binary),
    }
}

/// Times a suite; one that could not even start has failed.
fn row(name: &'static str, run: impl FnOnce() -> Result<Tally>) -> Row {
    let started = Instant::now();
    let mut tally = run().unwrap_or_else(|why| {
        step::say(&format!("{name}: {why:#}"));
        let mut tally = Tally::default();
        tally.fail(format!("{name} did not run to its end"));
        tally
    });
    if in_ci() {
        tally = tally.strict();
    }
    Row {
        name,
        time: started.elapsed(),
        tally,
    }
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

fn verdict(row: &Row) -> String {
    let word = if row.tally.failed == 0 {
        "good"
    } else {
        "FAILED"
    };
    format!(
        "suite {}: {word}: {} in {:.0} s",
        row.name,
        row.tally.sums(),
        row.time.as_secs_f64()
    )
}

/// Prints the table, what failed, what was skipped and why, and the sums as the last line.
fn close(rows: &[Row]) -> ExitCode {
    let whole: f64 = rows.iter().map(|row| row.time.as_secs_f64()).sum();
    let mut all = Tally::default();
    println!(
        "\n{:<14} {:>7} {:>6} {:>8} {:>7} {:>6}",
        "suite", "passed", "failed", "skipped", "time", "share"
    );
    for Row { name, time, tally } in rows {
        let seconds = time.as_secs_f64();
        println!(
            "{name:<14} {:>7} {:>6} {:>8} {:>6.0}s {:>5.0}%",
            tally.passed,
            tally.failed,
            tally.skipped.len(),
            seconds,
            100.0 * seconds / whole.max(f64::MIN_POSITIVE)
        );
        all.add(tally);
    }
    println!(
        "{:<14} {:>7} {:>6} {:>8} {whole:>6.0}s",
        "all",
        all.passed,
        all.failed,
        all.skipped.len()
    );
    for Row { name, tally, .. } in rows {
        tally
            .skipped
            .iter()
            .for_each(|reason| println!("skipped: {name}: {reason}"));
        tally
            .failures
            .iter()
            .for_each(|what| println!("FAILED: {name}: {what}"));
    }
    println!("{}", all.sums());
    let _ = std::io::stdout().flush();
    if all.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_names_of_their_own_and_their_programs_exist() {
        let all = || SUITES.iter().chain(BY_NAME);
        let mut names: Vec<_> = all().map(|suite| suite.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().count());
        for suite in all() {
            if let Kind::Binary(binary) = &suite.kind {
                let file = crate::workspace::root().join(format!("tests/tests/{}.rs", binary.test));
                assert!(file.is_file(), "{} of suite {}", file.display(), suite.name);
            }
        }
    }

    #[test]
    fn what_runs_by_name_alone_does_not_run_unnamed() {
        let long = |names: &[String]| {
            let chosen = choose(names).unwrap();
            chosen.iter().any(|suite| suite.name == "docker-long")
        };
        assert!(!long(&[]) && long(&["docker-long".to_owned()]));
    }

    #[test]
    fn an_unknown_suite_is_named_with_the_known_ones() {
        let error = choose(&["hots".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("hots") && error.contains("host"), "{error}");
    }
}
