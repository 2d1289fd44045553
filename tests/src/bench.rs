//! Figures: what was measured in several rounds, and the table that shows it beside its budget.

mod programs;
mod table;
mod times;

pub use programs::{Empty, Spent};
pub use table::{Row, Table};
pub use times::{Once, Times, times};
