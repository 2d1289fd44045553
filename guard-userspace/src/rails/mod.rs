//! What must not be done, whatever the policy wants. Only here a [`Permit`] is made, and only a
//! permit is executed.

pub mod check;
mod deed;
mod end;

pub use check::{Permit, Refusal, check};
