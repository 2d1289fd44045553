//! What should be done: pure functions of a target's state and config.

pub mod condemned;
pub mod decide;
pub mod family;
pub mod gate;
pub mod glob;
pub mod level;
pub mod near;
pub mod package;
pub mod program;
pub mod role;
pub mod shell;
pub mod sizes;

pub use decide::decide;
