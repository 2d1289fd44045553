//! Standard output, whose reader may go away: `… | head` is no error.

use super::exit::{Code, Failure};
use anyhow::Context;
use serde::Serialize;
use std::io::{self, ErrorKind, Write};

/// Prints `text` as it is.
///
/// # Errors
/// Standard output cannot be written, other than by its reader having gone.
pub fn print(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Prints `value` as JSON, for people's eyes too.
///
/// # Errors
/// As [`print()`].
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    print(&(text + "\n"))
}

/// Prints a check's report: as JSON, or in words.
///
/// # Errors
/// As [`print()`]; or, after that, [`Code::CheckFailed`] where the report is not good.
pub fn report<R: Serialize>(
    report: &R,
    as_json: bool,
    words: impl FnOnce(&R) -> String,
    ok: bool,
) -> Result<(), Failure> {
    if as_json {
        json(report)?;
    } else {
        print(&words(report))?;
    }
    if ok {
        Ok(())
    } else {
        Err(Failure::said(Code::CheckFailed))
    }
}

/// As [`print()`].
///
/// # Errors
/// As [`print()`].
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow::Error::new(error)
            .context("cannot write to standard output")
            .into()),
        _ => Ok(()),
    }
}
