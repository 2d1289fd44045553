//! What the guard does. Only a [`crate::rails::Permit`] is carried out.

pub mod deed;
pub mod end;
mod execute;
pub mod look;
pub mod nudge;
#[cfg(test)]
mod table;

pub use execute::execute;
