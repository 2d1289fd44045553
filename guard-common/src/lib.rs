//! What kernel and agent share: the records between them, the words each of them owns, and the
//! integer arithmetic of the gate, which runs in BPF and is property-tested on the host.
//!
//! Every word has one writer. The kernel writes [`TargetCounters`], [`GateState`] and
//! [`ProcessEntry`]; the agent writes [`GateLimits`]. What the agent must change in the kernel's
//! words it asks for through a program, so that it is done by the same atomics.
#![no_std]

pub mod abi;
pub mod bucket;
pub mod entry;
pub mod life;
pub mod limits;
#[cfg(feature = "aya")]
mod pod;
pub mod record;
pub mod slots;
pub mod tree;
pub mod word;

pub use entry::{ProcessEntry, TreeEntry};
pub use limits::{GateLimits, GateMode, GateState, TargetCounters, TargetKind};
