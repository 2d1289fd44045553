//! Docker under a real systemd: not one mode on one kernel, but a suite of its own, whose verdict stands
//! below the table.

use std::fmt::Write;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{keep, known, output};
use crate::step;
use crate::test::programs;
use crate::test::suites::{self, Kind};

/// Its name among the cells.
pub const NAME: &str = "docker-systemd";

/// Runs it and keeps what came of it; says whether all was well.
///
/// # Errors
/// It could not be built, or its machine gave no verdict.
pub fn run() -> Result<bool> {
    let suite = suites::find(suites::SYSTEMD).context("its suite")?;
    let Kind::Binary(binary) = &suite.kind else {
        anyhow::bail!("{} is no test program", suite.name);
    };
    step::say(&format!("cell {NAME}: {}", suite.about));
    let began = Instant::now();
    let tally = programs::binary(binary)?;
    let first = |program: &str| {
        let said = output(program, &["--version"]);
        said.lines().next().unwrap_or_default().to_owned()
    };
    let kernel = binary.machine.as_ref().map(|machine| machine.kernel);
    let seen = json!({
        "date": output("date", &["-u", "+%F"]),
        "commit": output("git", &["rev-parse", "--short", "HEAD"]),
        "seconds": began.elapsed().as_secs(),
        "kernel": kernel,
        "versions": [first("systemctl"), first("dockerd"), first("runc")],
        "passed": tally.passed,
        "failures": tally.failures,
    });
    keep(NAME, &seen)?;
    Ok(tally.failed == 0)
}

/// What is known of it, in Markdown.
pub fn section() -> String {
    known(NAME).map(|seen| told(&seen)).unwrap_or_default()
}

fn told(seen: &Value) -> String {
    let word = |name: &str| seen.get(name).and_then(Value::as_str).unwrap_or("?");
    let list = |name: &str| {
        let all = seen.get(name).and_then(Value::as_array);
        let words = all.into_iter().flatten().filter_map(Value::as_str);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let failures = list("failures");
    let verdict = if failures.is_empty() {
        "all held"
    } else {
        "not all held"
    };
    let mut text = format!(
        "\n## Docker under systemd\n\n\
         Cell `{NAME}`, the suite `{}`: a machine whose first process is systemd, Docker with\n\
         `--exec-opt native.cgroupdriver=systemd`, mode `lsm`. A container is found as `system.slice/docker-ID.scope` before its first\n\
         process, counted exactly, held in a storm, entered by `docker exec` at the cap, followed through a restart, let go by `disarm`; one\n\
         that runs already is adopted; a gateway's leaked sessions leave no server in error.\n\n\
         On {} with Debian's {} ({}), built from {}: {verdict}, {} trials passed.\n",
        suites::SYSTEMD,
        word("date"),
        word("kernel"),
        list("versions").join("; "),
        word("commit"),
        seen.get("passed").and_then(Value::as_u64).unwrap_or(0),
    );
    for failure in failures {
        let _ = writeln!(text, "\n- {failure}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_that_failed_is_told() {
        let told = |failures: Value| told(&json!({"passed": 2, "failures": failures}));
        assert!(told(json!([])).contains("all held, 2 trials passed"));
        let text = told(json!(["one: it leaks"]));
        assert!(
            text.contains("not all held") && text.contains("- one: it leaks"),
            "{text}"
        );
    }
}
