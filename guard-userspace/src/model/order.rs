//! What an operator orders by hand, and what is said back: the bodies of `POST /api/v1/actions`.
//! Field names are a contract; new ones may be added.

use super::whole::{WholeAnswer, WholeRequest};
use super::{Deed, Ground};
use core::fmt;
use guard_common::tree::Place;
use serde::{Deserialize, Serialize};

/// How a tree is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// End of file on its root's standard input: it ends by itself.
    Retire,
    /// SIGTERM to all of it, and SIGKILL to what is left after `grace`.
    Kill,
    /// Retire, after `grace` kill what is left: the gentlest way that ends it for sure.
    End,
    /// Retire, after a second SIGKILL: in an emergency.
    Force,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Retire, Self::Kill, Self::End, Self::Force];

    /// Its name in commands and log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retire => "retire",
            Self::Kill => "kill",
            Self::End => "end",
            Self::Force => "force",
        }
    }

    /// What was done, or would have been: `retired`.
    #[must_use]
    pub const fn past(self) -> &'static str {
        match self {
            Self::Retire => "retired",
            Self::Kill => "killed",
            Self::End | Self::Force => "ended",
        }
    }

    /// What it costs, measured on the real MetaMCP.
    #[must_use]
    pub const fn cost(self) -> &'static str {
        match self {
            Self::Retire => {
                "no crash is counted; a session that uses the server lacks it from then on, and where \
                 it is MetaMCP's idle instance the next session does"
            }
            Self::End | Self::Force => {
                "none where it ends by end of file; else MetaMCP marks this server ERROR and ends all \
                 its instances"
            }
            Self::Kill => "MetaMCP marks this server ERROR and ends all its instances",
        }
    }
}

/// An order as the policy takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its number: no other order of this agent has it.
    pub id: u64,
    /// What.
    pub what: Ordered,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What an operator wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Ordered {
    /// That trees end.
    End {
        /// How.
        how: How,
        /// The process that was named and where it was then; `None`: every unprotected tree is meant.
        named: Option<(u32, Place)>,
        /// Ids of the trees that may be meant; `None`: any. What was confirmed is not to become
        /// something else by a pid that was used again.
        only: Option<Vec<u64>>,
    },
    /// That whatever has evidence against it ends, as in an emergency, without waiting for a level.
    Cleanup,
    /// That it is looked for what speaks against trees, so that a cleanup knows it.
    Look,
    /// That something is done to the target as a whole.
    Do(Deed),
}

/// A tree that is to be ended, as it was when that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The order's number; 0: the agent's own accord.
    pub order: u64,
    /// How.
    pub how: How,
    /// The tree's id; 0: the process that was named is in none.
    pub tree: u64,
    /// Pid of its first process, which may have ended.
    pub root: u32,
    /// Its family.
    pub family: String,
    /// Its processes.
    pub processes: u64,
    /// The process that was named and where it was.
    pub named: Option<(u32, Place)>,
    /// What speaks against it, where the agent chose it.
    pub ground: Option<Ground>,
}

/// What became of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The tree.
    pub ending: Ending,
    /// How many of its processes ended, those born meanwhile too.
    pub processes: u64,
    /// Some of them by a signal: its gateway may count a crash.
    pub killed: bool,
}

impl Ending {
    /// What is ended, why, and what that costs.
    #[must_use]
    pub fn reason(&self) -> String {
        let cost = self.how.cost();
        match self.ground {
            Some(ground) => format!("{self}: {}; it costs: {cost}", ground.in_words()),
            None => format!("{self}: {cost}"),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (root, family, processes) = (self.root, &self.family, self.processes);
        let noun = if processes == 1 {
            "process"
        } else {
            "processes"
        };
        write!(out, "the tree of pid {root} ({family}, {processes} {noun})")
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// `retire`, `kill`, `end` or `force`.
    pub action: How,
    /// The target's name; may be left out where there is one, or where `tree` is given.
    #[serde(default)]
    pub target: Option<String>,
    /// Pid of any process of the tree; left out: every unprotected tree.
    #[serde(default)]
    pub tree: Option<u32>,
    /// Ids of trees, as an answer named them: no others are meant. Left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<u64>>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionAnswer {
    /// As asked.
    pub action: How,
    /// The target's name.
    pub target: String,
    /// As asked.
    pub dry_run: bool,
    /// What the action costs for each tree.
    pub cost: String,
    /// The trees that were meant.
    pub trees: Vec<TreeAnswer>,
}

/// What became of one tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeAnswer {
    /// Its id.
    pub tree: u64,
    /// Pid of its first process.
    pub root: u32,
    /// Its family.
    pub family: String,
    /// Its processes, when that was decided.
    pub processes: u64,
    /// How it ended.
    pub result: TreeResult,
    /// The same in words.
    pub message: String,
}

/// How it ended, with a tree or with what was done to a target as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeResult {
    /// A dry run: it would be tried.
    Would,
    /// Not tried: it may not be.
    Refused,
    /// Being tried.
    UnderWay,
    /// All of the tree has ended, or all of the deed is done.
    Done,
    /// Tried in vain.
    Failed,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// That trees end.
    End(ActionRequest),
    /// That the gate lets go.
    Disarm(DisarmRequest),
    /// That something is done to a target as a whole.
    Whole(WholeRequest),
}

/// The word that a request for [`DisarmRequest`] begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disarm {
    /// Take the gate away.
    Disarm,
}

/// The gate is to let go of a target, or of all, and the agent to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisarmRequest {
    /// `disarm`.
    pub action: Disarm,
    /// The target's name; left out: the whole gate.
    #[serde(default)]
    pub target: Option<String>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisarmAnswer {
    /// `disarm`.
    pub action: Disarm,
    /// As asked.
    pub dry_run: bool,
    /// The targets that are let go of.
    pub targets: Vec<String>,
    /// The agent ends.
    pub ends: bool,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// How trees ended.
    End(ActionAnswer),
    /// What is let go of.
    Disarm(DisarmAnswer),
    /// What was done to a target as a whole.
    Whole(WholeAnswer),
}
