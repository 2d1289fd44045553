//! How many processes of a target may be gateways at a time: each is given a whole tree for every
//! spawn, so a pattern that means too much would leave no tree together.

use super::role::MAX_GATEWAYS;
use crate::state::kin::Kin;
use guard_common::tree::Role;
use std::collections::BTreeSet;

/// Gateways of one target, with those that this verdict makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateways {
    pids: BTreeSet<u32>,
    beyond: Option<String>,
}

impl Gateways {
    /// Those that are known.
    #[must_use]
    pub fn of(kin: &Kin) -> Self {
        let all = kin
            .all()
            .filter(|one| one.place.role() == Role::Gateway)
            .map(|one| one.key.pid);
        Self {
            pids: all.collect(),
            beyond: None,
        }
    }

    /// Whether a process that executed `argv` may be one. It is, then.
    pub fn admit(&mut self, pid: u32, argv: &[String]) -> bool {
        if self.pids.contains(&pid) {
            return true;
        }
        if self.pids.len() < MAX_GATEWAYS {
            return self.pids.insert(pid);
        }
        self.beyond.get_or_insert_with(|| argv.join(" "));
        false
    }

    /// The first program for which there was no room.
    #[must_use]
    pub fn beyond(self) -> Option<String> {
        self.beyond
    }
}
