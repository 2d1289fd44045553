//! What is known of a target: nothing but [`TargetState::apply`] and [`TargetState::commit`] changes
//! it. Pure: no clock, no I/O.

pub mod attempt;
pub mod counts;
pub mod rate;
pub mod storm;
pub mod target;
mod view;

pub use attempt::Attempt;
pub use target::{Applied, TargetState};
