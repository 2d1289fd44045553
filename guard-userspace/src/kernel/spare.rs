//! Room in the table of cgroups that is the canary's: some entries stand for no cgroup and give way to its
//! own. Else a full table (a target may make cgroups as it likes) would leave the gate unproved.

use super::tables::{TableError, Tables};
use guard_common::abi::CANARY_SLOT;

/// More than one, since a cgroup that is made in a target just then may take the room first.
const SPARE: u64 = 8;

/// Ids that no cgroup has: kernfs gives an inode's number below 2^32 and how often it was used before.
fn spare() -> impl Iterator<Item = u64> {
    (0..SPARE).map(|n| u64::MAX - n)
}

impl Tables {
    /// Keeps room for the canary's cgroup, as far as there is any.
    pub(super) fn keep_room(&mut self) {
        for id in spare() {
            if let Err(error) = self.tag(id, CANARY_SLOT) {
                tracing::debug!(%error, "no room is kept for the canary");
                return;
            }
        }
    }

    /// Tags the canary's cgroup, in the room that is kept for it where there is no other.
    ///
    /// # Errors
    /// The table is full, and nothing is kept.
    pub(super) fn tag_canary(&mut self, cgroup: u64) -> Result<(), TableError> {
        let mut tagged = self.tag(cgroup, CANARY_SLOT);
        for id in spare() {
            if tagged.is_ok() {
                break;
            }
            self.untag(id)?;
            tagged = self.tag(cgroup, CANARY_SLOT);
        }
        tagged
    }

    /// Takes its tag away, and keeps the room.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn untag_canary(&mut self, cgroup: u64) -> Result<(), TableError> {
        self.untag(cgroup)?;
        self.keep_room();
        Ok(())
    }
}
