//! Who is in which tree, for other threads than the loop's.

use super::tables::TableError;
use aya::maps::{HashMap, Map, MapData, MapError};
use core::fmt;
use guard_common::ProcessEntry;
use guard_common::entry::flag;
use guard_common::tree::{Place, Role};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What the table has of a pid.
type Look = dyn Fn(u32) -> Option<ProcessEntry> + Send + Sync;

/// A way to ask. Seldom: a read of a map can hold up the counting (guard-ebpf/src/main.rs).
#[derive(Clone)]
pub struct Members(Arc<Look>);

/// A process that is in a tree now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The tree's id.
    pub tree: u64,
    /// Its start in nanoseconds of CLOCK_BOOTTIME.
    pub start_ns: u64,
}

impl Members {
    /// Of this map of processes.
    pub(super) fn of(processes: &OwnedFd) -> Result<Self, TableError> {
        let name = "PROCESSES";
        let failed = |source| TableError::Map { name, source };
        let fd = processes.as_fd().try_clone_to_owned();
        let fd = fd.map_err(|error| failed(MapError::IoError(error)))?;
        let map = MapData::from_fd(fd).map_err(failed)?;
        let map = HashMap::<MapData, u32, ProcessEntry>::try_from(Map::HashMap(map));
        let map = map.map_err(failed)?;
        Ok(Self::by(move |pid| map.get(&pid, 0).ok()))
    }

    /// By another table.
    pub fn by(look: impl Fn(u32) -> Option<ProcessEntry> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    /// The tree, or the entry from outside, of the target in `slot` that `pid` is in now. `None`: it is
    /// in none, or it is no mere member: a gateway, of the spine, condemned, outside, or dead.
    #[must_use]
    pub fn of_tree(&self, slot: u32, pid: u32) -> Option<Member> {
        let entry = (self.0)(pid)?;
        member(slot, &entry)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Members")
    }
}

fn member(slot: u32, entry: &ProcessEntry) -> Option<Member> {
    let place = Place(entry.place);
    let gone = place.has_left() || entry.dead != 0 || entry.flags & flag::AWAY != 0;
    let is_member = matches!(place.role(), Role::Member | Role::Guest) && place.tree() != 0;
    (entry.slot == slot && is_member && !gone).then_some(Member {
        tree: place.tree(),
        start_ns: entry.start_ns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: ProcessEntry = ProcessEntry {
        tasks: 1,
        dead: 0,
        flags: 0,
        start_ns: 5_000,
        place: Place::new(Role::Member, 9).0,
        slot: 3,
        parent: 1,
    };

    #[test]
    fn only_who_is_there_and_a_member_is_one() {
        let check = |entry: ProcessEntry, expected: Option<u64>| {
            let found = member(3, &entry).map(|member| member.tree);
            assert_eq!(found, expected, "{entry:?}");
        };
        let at = |role, tree| ProcessEntry {
            place: Place::new(role, tree).0,
            ..ENTRY
        };
        check(ENTRY, Some(9));
        check(at(Role::Member, 0), None);
        check(at(Role::Gateway, 9), None);
        check(at(Role::Wrapper, 0), None);
        check(at(Role::Guest, 9), Some(9));
        check(at(Role::Nobody, 0), None);
        check(ProcessEntry { slot: 4, ..ENTRY }, None);
        check(ProcessEntry { dead: 1, ..ENTRY }, None);
        let flags = flag::AWAY;
        check(ProcessEntry { flags, ..ENTRY }, None);
        let place = ENTRY.place + (1 << 56);
        check(ProcessEntry { place, ..ENTRY }, None);
    }
}
