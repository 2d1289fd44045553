//! The agent of metamcp-guard: follows the kernel side, decides, acts and reports.

pub mod actions;
pub mod agent;
pub mod api;
pub mod cli;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod engine;
pub mod evidence;
pub mod guardian;
pub mod incident;
pub mod journal;
pub mod kernel;
pub mod mask;
pub mod model;
pub mod policy;
pub mod rails;
pub mod sinks;
pub mod state;
pub mod targets;
