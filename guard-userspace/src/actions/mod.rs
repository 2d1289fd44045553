//! What the guard does. Only a [`crate::rails::Permit`] is carried out.

pub mod end;
mod execute;

pub use execute::execute;
