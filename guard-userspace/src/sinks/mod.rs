//! Where facts go.

pub mod json;
pub mod log;
pub mod metrics;
pub mod plain;
pub mod tiers;
