//! The test kit: throw-away cgroups, bounded storms, an independent witness, the agent as a child.
//!
//! Suites are in `tests/tests/`, each a program of its own with one verdict line. The kit tests no
//! double: what it starts, counts and limits is real.

pub mod actor;
pub mod agent;
pub mod apart;
pub mod bench;
pub mod cgroup;
pub mod check;
pub mod docker;
pub mod guarded;
pub mod keeper;
pub mod load;
pub mod pids;
pub mod place;
pub mod raw;
pub mod storm;
pub mod suite;
pub mod tables;
pub mod witness;

pub use actor::Actor;
pub use agent::{Agent, Folder};
pub use apart::Apart;
pub use cgroup::Cgroup;
pub use guarded::Guarded;
pub use storm::Storm;
pub use tables::Tables;
pub use witness::Witness;
