//! The state machine under every interleaving of a few CPUs, and under random ones of many.
//!
//! [`machine`] runs the code itself, one access to a [`shared`] word at a time. [`explore`] goes
//! through all orders in which such steps can happen. [`scenes`] are the races that were thought
//! of, [`random`] and [`threads`] those that were not, [`contention`] what happens when every
//! exchange is lost, [`sequence`] the rules of gate.md one after the other.

mod contention;
mod explore;
mod machine;
mod op;
mod random;
mod scenes;
mod sequence;
mod shared;
mod state;
mod threads;
