//! What the guard does. Only a [`crate::rails::Permit`] is carried out.

pub mod deed;
pub mod end;
mod execute;
pub mod look;
pub mod nudge;

pub use execute::execute;
