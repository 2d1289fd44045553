//! The last start that went well, to hold others against.

use std::collections::BTreeMap;

/// What a start came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Live processes at its end.
    pub live: u64,
    /// Trees of each family at its end.
    pub families: BTreeMap<String, u64>,
}
