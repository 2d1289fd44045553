//! The checks as a table.

use super::checks::{Check, Verdict};
use std::io::IsTerminal;

/// Whether standard output shows colours.
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A line for each check, and under it its fix; the count last.
pub(super) fn table(checks: &[Check], colour: bool) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let verdict = word(check.verdict, colour);
        text += &format!("{verdict}  {:width$}  {}\n", check.name, check.said);
        if let Some(fix) = &check.fix {
            text += &format!("{:width$}        fix: {fix}\n", "");
        }
    }
    let count = |verdict| {
        checks
            .iter()
            .filter(|check| check.verdict == verdict)
            .count()
    };
    let (lack, warn) = (count(Verdict::Lack), count(Verdict::Warn));
    let end = match lack {
        0 => "nothing is lacking".to_owned(),
        n => format!("{n} lacking: the guard cannot work here yet"),
    };
    let warned = match warn {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        n => format!(", {n} warnings"),
    };
    text + &format!("{end}{warned}\n")
}

fn word(verdict: Verdict, colour: bool) -> String {
    let (word, code) = match verdict {
        Verdict::Ok => ("ok  ", 32),
        Verdict::Warn => ("warn", 33),
        Verdict::Lack => ("LACK", 31),
    };
    if colour {
        format!("\x1b[{code}m{word}\x1b[0m")
    } else {
        word.to_owned()
    }
}
