//! The agent of metamcp-guard: follows the kernel side, decides, acts and reports.

pub mod config;
pub mod evidence;
pub mod model;
pub mod targets;
