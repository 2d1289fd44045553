//! When something happened. Time comes in as data and is never asked for by the pure rooms.

/// A moment, on the kernel's clock and on ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Nanoseconds of CLOCK_BOOTTIME: goes on in suspend, never back.
    pub boot_ns: u64,
    /// Milliseconds since 1970 (UTC), for people. May jump.
    pub wall_ms: i64,
}

impl Stamp {
    /// Whole seconds of CLOCK_BOOTTIME.
    #[must_use]
    pub const fn second(self) -> u64 {
        self.boot_ns / 1_000_000_000
    }
}
