//! Comparing, with an error that says what was compared.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

/// Fails, naming `what`, unless both are equal.
///
/// # Errors
/// They differ.
pub fn same<T: PartialEq + Debug>(what: &str, seen: T, expected: T) -> Result<()> {
    ensure!(seen == expected, "{what}: {seen:?}, expected {expected:?}");
    Ok(())
}

/// Asks again until `holds` says true, for at most `limit`.
///
/// # Errors
/// It never did.
pub fn eventually(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let until = Instant::now() + limit;
    while !holds()? {
        if Instant::now() > until {
            bail!("{what}: not within {limit:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
