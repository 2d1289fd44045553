//! What must not be done, whatever the policy wants. Only here a [`Permit`] is made, and only a
//! permit is executed.

pub mod check;

pub use check::{Permit, Refusal, check};
