//! What an operator orders for a target as a whole, and what is said back. Field names are a contract;
//! new ones may be added.

use super::deed::Step;
use super::order::{TreeAnswer, TreeResult};
use serde::{Deserialize, Serialize};

/// What can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whole {
    /// End whatever has evidence against it, without waiting for a level.
    Cleanup,
    /// Stop all of it.
    Freeze,
    /// Let it go on.
    Thaw,
    /// Disconnect it from its networks.
    Isolate,
    /// Connect it again.
    Rejoin,
    /// Stop and start the container.
    Restart,
    /// Make the container anew.
    Recreate,
    /// Put Docker's own limits in force.
    Enforce,
    /// The same for a start, which each later one then has of itself.
    Prevent,
}

impl Whole {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Cleanup,
        Self::Freeze,
        Self::Thaw,
        Self::Isolate,
        Self::Rejoin,
        Self::Restart,
        Self::Recreate,
        Self::Enforce,
        Self::Prevent,
    ];

    /// Its name in commands, bodies and log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cleanup => "cleanup",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Isolate => "isolate",
            Self::Rejoin => "rejoin",
            Self::Restart => "restart",
            Self::Recreate => "recreate",
            Self::Enforce => "enforce",
            Self::Prevent => "prevent",
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeRequest {
    /// What.
    pub action: Whole,
    /// The target's name; may be left out where there is one.
    #[serde(default)]
    pub target: Option<String>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeAnswer {
    /// As asked.
    pub action: Whole,
    /// The target's name.
    pub target: String,
    /// As asked.
    pub dry_run: bool,
    /// How it ended.
    pub result: TreeResult,
    /// The same in words.
    pub message: String,
    /// What the action costs whoever uses the target.
    pub cost: String,
    /// What was read back, or each step's outcome.
    pub steps: Vec<Step>,
    /// Of a cleanup: the trees that have evidence against them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trees: Vec<TreeAnswer>,
}
