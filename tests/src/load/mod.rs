//! The storms themselves, as the program `storm` runs them: bounded by count and by time, always.

pub mod actor;
pub mod bomb;
pub mod ends;
pub mod exec;
pub mod fork;
pub mod heap;
pub mod keeper;
pub mod mix;
pub mod odd;
pub mod tally;
pub mod thread;
pub mod tiny;

pub use tally::Tally;

use std::io::Write;
use std::time::Duration;

/// Most processes or threads one storm may make.
pub const MOST: u64 = 100_000;

/// Longest time that a storm may be told to last.
pub const LONGEST: Duration = Duration::from_secs(120);

/// Writes one byte to standard output: "I run". Kept small enough to be atomic on a pipe.
pub fn say_running() {
    let mut out = std::io::stdout();
    // Whoever listened may be gone; the process still holds its place as it was told to.
    let _ = out.write_all(b".").and_then(|()| out.flush());
}
