//! What the guard does. Only a [`crate::rails::Permit`] is carried out.

mod execute;

pub use execute::execute;
