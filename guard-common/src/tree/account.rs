//! What one tree has, as one word: slots used and slots reserved.
//!
//! One word, because settle beside exit, or fork beside fork, would leave `committed` wrong for
//! ever if the two were changed apart. It also carries what kind of account it is and the end of
//! its id: a map's element is given to another tree as soon as its tree is gone, and whoever still
//! holds its address then sees that the word is another's.
//!
//! `used` is at least 1 for as long as an account lives, so 0 means gone, and an exit needs no
//! exchange that could be lost: it subtracts 1 from the word and sees in what was there before
//! whether it was the last.

use crate::word::{self, Taken, Word};

const BITS: u32 = 20;
const COUNT: u64 = (1 << BITS) - 1;
const RESERVED: u32 = BITS;
const KIND: u32 = 2 * BITS;
const TAG: u32 = KIND + 2;

/// Most processes, and most slots reserved, of one account.
pub const MOST: u64 = COUNT;

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// A tree: it is in `committed` with the larger of `used` and `reserved`.
    Tree = 0,
    /// What is left of the tree of a process that became a gateway: nothing is reserved in it.
    Open = 1,
    /// An entry from outside with its descendants: beside the cap, not in `committed`.
    Guest = 2,
}

/// An account's word. 0 belongs to no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(pub u64);

impl Account {
    /// The account `id`, which nobody shares yet.
    #[inline(always)]
    #[must_use]
    pub const fn new(id: u64, kind: Kind, used: u64, reserved: u64) -> Self {
        let kind = kind as u64;
        Self(used & COUNT | (reserved & COUNT) << RESERVED | kind << KIND | id << TAG)
    }

    /// Its processes, those of forks under way too.
    #[inline(always)]
    #[must_use]
    pub const fn used(self) -> u64 {
        self.0 & COUNT
    }

    /// Slots that it need not ask for.
    #[inline(always)]
    #[must_use]
    pub const fn reserved(self) -> u64 {
        self.0 >> RESERVED & COUNT
    }

    /// What it is for.
    #[inline(always)]
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self.0 >> KIND & 3 {
            0 => Kind::Tree,
            1 => Kind::Open,
            _ => Kind::Guest,
        }
    }

    /// Whether this is account `id`, alive.
    #[inline(always)]
    #[must_use]
    pub const fn is(self, id: u64) -> bool {
        self.0 >> TAG == id << TAG >> TAG && self.used() != 0
    }

    /// Its part of `committed`.
    #[inline(always)]
    #[must_use]
    pub const fn committed(self) -> u64 {
        let (used, reserved) = (self.used(), self.reserved());
        match self.kind() {
            Kind::Guest => 0,
            _ if used == 0 => 0,
            _ if used < reserved => reserved,
            _ => used,
        }
    }

    /// With one process more; `None` where the count would not fit.
    #[inline(always)]
    #[must_use]
    pub(super) const fn joined(self) -> Option<Self> {
        if self.used() < MOST {
            Some(Self(self.0 + 1))
        } else {
            None
        }
    }

    /// With another reservation.
    #[inline(always)]
    #[must_use]
    pub(super) const fn reserving(self, reserved: u64) -> Self {
        Self(self.0 & !(COUNT << RESERVED) | (reserved & COUNT) << RESERVED)
    }

    /// As the account of a gateway that was a tree: nothing reserved.
    #[inline(always)]
    #[must_use]
    pub(super) const fn opened(self) -> Self {
        let open = self.reserving(0).0 & !(3 << KIND) | (Kind::Open as u64) << KIND;
        Self(open)
    }
}

/// How an attempt to change an account ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// It is changed: its part of `committed` was and is this.
    Yes { was: u64, is: u64 },
    /// The rules say no.
    No,
    /// The account is gone, or the word is another's by now.
    Gone,
    /// Too many others changed it meanwhile.
    Contended,
}

/// Changes account `id` by `next`, if it is still there.
#[inline(always)]
pub(super) fn change<W: Word>(
    word: &W,
    id: u64,
    mut next: impl FnMut(Account) -> Option<Account>,
) -> Changed {
    let mut changed = Changed::No;
    let taken = word::update(word, |seen| {
        let seen = Account(seen);
        if !seen.is(id) {
            changed = Changed::Gone;
            return None;
        }
        let Some(new) = next(seen) else {
            changed = Changed::No;
            return None;
        };
        changed = Changed::Yes {
            was: seen.committed(),
            is: new.committed(),
        };
        Some(new.0)
    });
    if taken == Taken::Contended {
        Changed::Contended
    } else {
        changed
    }
}

/// One process leaves, which had its part until now; returns what the account was before and the
/// slots that this frees. It cannot fail.
#[inline(always)]
pub(super) fn leave<W: Word>(word: &W) -> (Account, u64) {
    let was = Account(word.fetch_sub(1));
    let is = Account(was.0.wrapping_sub(1));
    (was, was.committed().wrapping_sub(is.committed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![Just(Kind::Tree), Just(Kind::Open), Just(Kind::Guest)]
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(
            id in 1u64.., kind in kind(), used in 0..=MOST, reserved in 0..=MOST,
        ) {
            let account = Account::new(id, kind, used, reserved);
            prop_assert_eq!((account.used(), account.reserved()), (used, reserved));
            prop_assert_eq!(account.kind(), kind);
            prop_assert_eq!(account.is(id), used > 0);
            prop_assert!(!account.is(id ^ 1));
            let other = account.reserving(MOST - reserved);
            prop_assert_eq!(other, Account::new(id, kind, used, MOST - reserved));
            prop_assert_eq!(account.opened(), Account::new(id, Kind::Open, used, 0));
        }

        #[test]
        fn one_more_and_one_less_is_as_before(
            id in 1u64.., kind in kind(), used in 1..=MOST, reserved in 0..=MOST,
        ) {
            let account = Account::new(id, kind, used, reserved);
            let Some(more) = account.joined() else {
                prop_assert_eq!(used, MOST);
                return Ok(());
            };
            let word = core::sync::atomic::AtomicU64::new(more.0);
            let freed = more.committed() - account.committed();
            prop_assert_eq!(leave(&word), (more, freed));
            prop_assert_eq!(Account(Word::load(&word)), account);
        }
    }

    #[test]
    fn the_last_one_frees_all_that_was_reserved() {
        let one = Account::new(7, Kind::Tree, 1, 4);
        let word = core::sync::atomic::AtomicU64::new(one.0);
        assert_eq!(leave(&word), (one, 4));
        let gone = Account(Word::load(&word));
        assert!(!gone.is(7));
        assert_eq!(gone.committed(), 0);
        let none = |_: Account| Some(gone);
        assert_eq!(change(&word, 7, none), Changed::Gone);
    }
}
