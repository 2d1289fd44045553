//! What is known of a target: nothing but [`TargetState::apply`] and [`TargetState::commit`] changes
//! it. Pure: no clock, no I/O.

pub mod attempt;
pub mod counts;
pub mod deeds;
pub mod ends;
pub mod kin;
pub mod rate;
pub mod sizes;
pub mod storm;
pub mod target;
pub mod trees;
mod view;
pub mod watched;

pub use attempt::Attempt;
pub use target::{Applied, TargetState};
