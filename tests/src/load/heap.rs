//! Memory that is wanted and not had.

use std::time::{Duration, Instant};

/// A page on x86-64.
const PAGE: usize = 4_096;

/// Takes up to `mb` megabytes, page by page, for at most `hold`. In a cgroup past its memory.high each page
/// makes it wait for memory.
pub fn grow(mb: u64, hold: Duration) {
    let until = Instant::now() + hold;
    let pages = usize::try_from(mb << 20).unwrap_or(usize::MAX) / PAGE;
    let mut heap = Vec::new();
    while heap.len() < pages && Instant::now() < until {
        heap.push(vec![1_u8; PAGE]);
    }
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
}
