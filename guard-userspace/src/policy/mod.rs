//! What should be done: pure functions of a target's state and config.

pub mod decide;
pub mod gate;
pub mod level;

pub use decide::decide;
