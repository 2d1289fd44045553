//! What the host says of itself: /proc and cgroups. Reading only.

pub mod cgroup;
pub mod controls;
pub mod memory;
pub mod mounts;
pub mod pressure;
pub mod process;
pub mod stat;
pub mod stdin;
pub mod tree;
