//! What should be done: pure functions of a target's state and config.

pub mod condemned;
pub mod decide;
pub mod excess;
pub mod family;
pub mod found;
pub mod gate;
pub mod gateways;
pub mod glob;
pub mod ground;
pub mod leak;
pub mod level;
pub mod limits;
pub mod mend;
pub mod near;
pub mod operator;
pub mod package;
pub mod pressure;
pub mod program;
pub mod reserve;
pub mod role;
pub mod roles;
pub mod sentinel;
pub mod shell;
pub mod start;
pub mod tight;
pub mod too_small;
pub mod trend;
pub mod victims;

pub use decide::decide;
