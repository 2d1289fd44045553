//! A process's place: what it is, and whose account its slot is in, as one word.
//!
//! One word, because a fork must not read an old role beside a new tree, and because an exit and
//! an agent that moves the process must agree which account it leaves.

use crate::word::Word;
use bytemuck::{Pod, Zeroable};

const ID_BITS: u32 = 48;
/// Where the role begins.
pub const ROLE: u32 = ID_BITS;
const LEFT: u32 = 56;

/// Largest id of a tree; ids are never used twice.
pub const MAX_ID: u64 = (1 << ID_BITS) - 1;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Role {
    /// It has no slot: condemned.
    Nobody = 0,
    /// Of the spine: its children are too.
    Wrapper = 1,
    /// Its children are roots of trees.
    Gateway = 2,
    /// In a tree, as root or below.
    Member = 3,
    /// Came from outside, or descends from one that did.
    Guest = 4,
}

impl Role {
    /// The role's name in log and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "condemned",
            Self::Wrapper => "wrapper",
            Self::Gateway => "gateway",
            Self::Member => "member",
            Self::Guest => "guest",
        }
    }
}

/// A process's place. The holder of a place owns one slot and gives it back once.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Place(pub u64);

impl Place {
    /// No slot.
    pub const NOBODY: Self = Self(0);

    /// In account `tree`, or (0) with a slot of its own, as the spine.
    #[inline(always)]
    #[must_use]
    pub const fn new(role: Role, tree: u64) -> Self {
        Self((role as u64) << ROLE | tree & MAX_ID)
    }

    /// What the process is.
    #[inline(always)]
    #[must_use]
    pub const fn role(self) -> Role {
        match self.0 >> ROLE & 0xff {
            1 => Role::Wrapper,
            2 => Role::Gateway,
            3 => Role::Member,
            4 => Role::Guest,
            _ => Role::Nobody,
        }
    }

    /// The account that its slot is in; 0: none.
    #[inline(always)]
    #[must_use]
    pub const fn tree(self) -> u64 {
        self.0 & MAX_ID
    }

    /// Whether the process is of the spine: a wrapper or gateway in no account. (A root that became a
    /// gateway is in its old one.)
    #[inline(always)]
    #[must_use]
    pub const fn is_spine(self) -> bool {
        matches!(self.role(), Role::Wrapper | Role::Gateway) && self.tree() == 0
    }

    /// Whether the process has ended or gone outside.
    #[inline(always)]
    #[must_use]
    pub const fn has_left(self) -> bool {
        self.0 >> LEFT != 0
    }
}

/// The process ends or goes outside: takes its place over, which is then to be given back.
///
/// Whoever comes second gets [`Place::NOBODY`]. It counts leavers in eight bits, so at most 255
/// may try: of a process's threads that end together, elect one before (by `ProcessEntry::dead`).
#[inline(always)]
pub fn vacate<W: Word>(place: &W) -> Place {
    let was = Place(place.fetch_add(1 << LEFT));
    if was.has_left() { Place::NOBODY } else { was }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU64;

    const ROLES: [Role; 5] = [
        Role::Nobody,
        Role::Wrapper,
        Role::Gateway,
        Role::Member,
        Role::Guest,
    ];

    #[test]
    fn what_is_packed_comes_out_again() {
        for role in ROLES {
            for tree in [0, 1, 77, MAX_ID] {
                let place = Place::new(role, tree);
                assert_eq!((place.role(), place.tree()), (role, tree));
                assert!(!place.has_left());
            }
        }
        assert_eq!(Place::new(Role::Nobody, 0), Place::NOBODY);
    }

    #[test]
    fn a_place_is_vacated_once() {
        let word = AtomicU64::new(Place::new(Role::Member, 9).0);
        assert_eq!(vacate(&word), Place::new(Role::Member, 9));
        for _ in 0..200 {
            assert_eq!(vacate(&word), Place::NOBODY);
        }
        let left = Place(Word::load(&word));
        assert!(left.has_left());
        assert_eq!((left.role(), left.tree()), (Role::Member, 9));
    }
}
