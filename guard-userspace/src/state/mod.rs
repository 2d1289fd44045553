//! What is known of a target: nothing but [`TargetState::apply`] and [`TargetState::commit`] changes
//! it. Pure: no clock, no I/O.

pub mod attempt;
pub mod counts;
pub mod deeds;
pub mod ends;
pub mod good;
pub mod kin;
pub mod leaks;
pub mod rate;
mod said;
pub mod sizes;
pub mod storm;
pub mod target;
pub mod trees;
pub mod trend;
mod view;
pub mod watched;

pub use attempt::Attempt;
pub use target::{Applied, TargetState};
