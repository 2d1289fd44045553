//! The kernel side, seen from the agent: loads and attaches it, arms targets, reads its records,
//! sets its limits, and proves how it refuses.

pub mod arm;
pub mod btf;
pub mod canary;
pub mod carried;
pub mod control;
pub mod decode;
pub mod deny;
pub mod enforce;
pub mod events;
pub mod fmod_ret;
pub mod hook;
pub mod inherit;
pub mod kfunc;
pub mod layout;
pub mod left;
pub mod load;
pub mod log;
mod mapped;
pub mod members;
pub mod offsets;
pub mod pins;
mod raw;
pub mod reader;
mod refuse;
mod spare;
pub mod stats;
pub mod tables;
pub mod tracefs;

pub use enforce::Ladder;
pub use load::{Kernel, LoadError};
pub use raw::{be_fifo, test_run};
