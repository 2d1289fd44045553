//! Figures: what was measured in several rounds, and the table that shows it beside its budget.

mod programs;
mod table;
mod times;

pub use programs::{Empty, Spent};
pub use table::{Row, Table};
pub use times::{Once, Times, times};

/// A number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
#[must_use]
pub const fn float(n: u64) -> f64 {
    n as f64
}
