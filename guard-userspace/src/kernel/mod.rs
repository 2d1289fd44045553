//! The kernel side, seen from the agent: loads and attaches it, arms targets, reads its records,
//! sets its limits, and proves how it refuses.

pub mod arm;
pub mod btf;
pub mod canary;
pub mod control;
pub mod decode;
pub mod deny;
pub mod enforce;
pub mod fmod_ret;
pub mod layout;
pub mod load;
pub mod log;
pub mod members;
pub mod offsets;
mod raw;
pub mod reader;
pub mod stats;
pub mod tables;
pub mod tracefs;

pub use enforce::Ladder;
pub use load::{Kernel, LoadError};
pub use raw::{be_fifo, test_run};
