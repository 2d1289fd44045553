//! Places that cannot be refused, and processes that the agent moves to another.
//!
//! What was there before the gate, what enters a cgroup from outside, and what `observe` lets
//! through is counted even over the cap; nothing is admitted then until `committed` is below.

use super::account::{self, Account, Changed, Kind};
use super::place::MAX_ID;
use super::{Gate, Left, Place, Role, Table};
use crate::slots;
use crate::word::Word;

/// Where the kind of a packed post begins: above every id.
const KIND: u32 = 56;

/// Where a process is to be, whatever the limits say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// Condemned: without a slot.
    Nobody,
    /// In the spine, as a wrapper.
    Wrapper,
    /// In the spine, as a gateway.
    Gateway,
    /// Root of a new tree: with a whole reservation where that fits, else with its own slot.
    Root,
    /// Root of a new tree that is to reserve nothing: it was there at arming.
    Found,
    /// In this tree, or with these guests. Where `hold` is set the reservation grows with it.
    In {
        /// The account's id.
        id: u64,
        /// Whether the tree keeps the slot when the process ends.
        hold: bool,
    },
    /// The first of a new entry from outside.
    Guest,
}

impl Post {
    /// As a number, for the program `control`.
    #[inline(always)]
    #[must_use]
    pub const fn pack(self) -> u64 {
        let (kind, id) = match self {
            Self::Nobody => (1, 0),
            Self::Wrapper => (2, 0),
            Self::Gateway => (3, 0),
            Self::Root => (4, 0),
            Self::Found => (5, 0),
            Self::Guest => (6, 0),
            Self::In { id, hold: false } => (7, id),
            Self::In { id, hold: true } => (8, id),
        };
        kind << KIND | id & MAX_ID
    }

    /// The post of a number; `None` for one that this version does not know.
    #[inline(always)]
    #[must_use]
    pub const fn unpack(number: u64) -> Option<Self> {
        let id = number & MAX_ID;
        Some(match number >> KIND {
            1 => Self::Nobody,
            2 => Self::Wrapper,
            3 => Self::Gateway,
            4 => Self::Root,
            5 => Self::Found,
            6 => Self::Guest,
            7 => Self::In { id, hold: false },
            8 => Self::In { id, hold: true },
            _ => return None,
        })
    }

    /// Where the child of a process in place `parent` belongs: for a fork that is not to be
    /// refused.
    #[inline(always)]
    #[must_use]
    pub const fn of_child(parent: Place) -> Self {
        match parent.role() {
            Role::Nobody => Self::Nobody,
            Role::Wrapper => Self::Wrapper,
            Role::Gateway => Self::Root,
            Role::Member | Role::Guest => Self::In {
                id: parent.tree(),
                hold: false,
            },
        }
    }
}

/// How a move ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The process is in its new place; leaving the old one ended this.
    Yes(Left),
    /// It had ended, or others moved it.
    Lost,
    /// The account it was to join is gone, or there is no room for another.
    Nowhere,
}

impl<W: Word, T: Table> Gate<'_, W, T> {
    /// A place even over the cap, to be put into an entry or given back by [`Gate::leave`].
    /// `None`: the account is gone, or there is no room for a new one.
    #[inline(always)]
    pub fn force(&self, post: Post) -> Option<Place> {
        match post {
            Post::Nobody => Some(Place::NOBODY),
            Post::Wrapper | Post::Gateway => {
                slots::force(self.committed, 1);
                Some(Place::new(spine(post), 0))
            }
            Post::Root => {
                let (ask, cap) = (self.tree_slots(), self.terms.open_to_trees());
                let slots = slots::take_or_force_one(self.committed, ask, cap);
                self.open(Kind::Tree, slots, slots)
            }
            Post::Found => {
                slots::force(self.committed, 1);
                self.open(Kind::Tree, 0, 1)
            }
            Post::Guest => self.open(Kind::Guest, 0, 0),
            Post::In { id, hold } => self.join_over_the_cap(id, hold),
        }
    }

    /// Moves a process to another place: its new slot is taken before its old one is given back,
    /// so `committed` is one too high for a moment, and no exit or fork beside it is counted
    /// wrong. `place` is the process's word.
    #[inline(always)]
    pub fn move_to<P: Word>(&self, place: &P, post: Post) -> Moved {
        let was = Place(place.load());
        if was.has_left() {
            return Moved::Lost;
        }
        let Some(new) = self.force(post) else {
            return Moved::Nowhere;
        };
        if place.compare_exchange(was.0, new.0) == was.0 {
            Moved::Yes(self.leave(was))
        } else {
            self.leave(new);
            Moved::Lost
        }
    }

    /// A new account of one process, whose `slots` are taken.
    #[inline(always)]
    fn open(&self, kind: Kind, reserved: u64, slots: u64) -> Option<Place> {
        let id = self.table.fresh();
        if self.table.add(id, Account::new(id, kind, 1, reserved).0) {
            return Some(Place::new(role_in(kind), id));
        }
        slots::give_back(self.committed, slots);
        None
    }

    #[inline(always)]
    fn join_over_the_cap(&self, id: u64, hold: bool) -> Option<Place> {
        let word = self.table.find(id)?;
        slots::force(self.committed, 1);
        let mut kind = Kind::Tree;
        let changed = account::change(&word, id, |seen| {
            kind = seen.kind();
            let new = seen.joined()?;
            if hold && kind == Kind::Tree && new.used() > new.reserved() {
                Some(new.reserving(new.used()))
            } else {
                Some(new)
            }
        });
        match changed {
            Changed::Yes { was, is } => {
                slots::give_back(self.committed, 1 - (is - was));
                Some(Place::new(role_in(kind), id))
            }
            Changed::No | Changed::Gone | Changed::Contended => {
                slots::give_back(self.committed, 1);
                None
            }
        }
    }
}

const fn spine(post: Post) -> Role {
    match post {
        Post::Gateway => Role::Gateway,
        _ => Role::Wrapper,
    }
}

/// What a process is that joins an account of this kind.
const fn role_in(kind: Kind) -> Role {
    match kind {
        Kind::Tree | Kind::Open => Role::Member,
        Kind::Guest => Role::Guest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let within = |hold| Post::In { id: MAX_ID, hold };
        let posts = [
            Post::Nobody,
            Post::Wrapper,
            Post::Gateway,
            Post::Root,
            Post::Found,
            Post::Guest,
            within(false),
            within(true),
        ];
        for post in posts {
            assert_eq!(Post::unpack(post.pack()), Some(post));
        }
        assert_eq!(Post::unpack(0), None);
        assert_eq!(Post::unpack(u64::MAX), None);
    }
}
