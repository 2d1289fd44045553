//! What the agent asks for while trees live: raise, settle, roles.
//!
//! Each is one operation of the program `control` and whole in itself. None waits and none takes
//! from a tree what it uses.

use super::account::{self, Account, Changed, Kind};
use super::{Gate, Place, Role, Table};
use crate::slots;
use crate::word::Word;

/// Largest reservation that a family's peak can raise a tree to.
pub const MOST_RAISED: u64 = 32;

/// Quiet for so long, a tree is settled even while it is smaller than its family usually is.
pub const LONG_QUIET_NS: u64 = 600_000_000_000;

/// From which size on a tree may be settled now: `None` until its last fork or exec was
/// `settle_ns` ago, then from what its family usually has (`usual`; unknown: `tree.processes`),
/// and from any size after [`LONG_QUIET_NS`].
#[inline(always)]
#[must_use]
pub const fn floor(quiet_ns: u64, settle_ns: u64, usual: u64) -> Option<u64> {
    if quiet_ns < settle_ns {
        None
    } else if quiet_ns < LONG_QUIET_NS {
        Some(usual)
    } else {
        Some(0)
    }
}

/// How a change of roles ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It has the role now; so many slots were given back.
    Yes(u64),
    /// It is neither in the spine nor in a tree, has ended, or was moved meanwhile.
    No,
}

impl<W: Word, T: Table> Gate<'_, W, T> {
    /// A root's program has told its family: raises its tree's reservation towards `peak`, at most
    /// [`MOST_RAISED`], by what fits below `room` (and below what is open to trees). Returns the
    /// slots that this took.
    ///
    /// It takes what there is: two roots that held some and waited for more would lock each other.
    #[inline(always)]
    pub fn raise(&self, id: u64, peak: u64, room: u64) -> u64 {
        let Some(word) = self.table.find(id) else {
            return 0;
        };
        let seen = Account(word.load());
        let peak = peak.min(MOST_RAISED);
        if !seen.is(id) || seen.kind() != Kind::Tree || seen.reserved() >= peak {
            return 0;
        }
        let cap = room.min(self.terms.open_to_trees());
        let ask = peak.saturating_sub(seen.committed());
        let bought = slots::take_some(self.committed, ask, cap);
        if ask > 0 && bought == 0 {
            return 0;
        }
        let changed = account::change(&word, id, |seen| {
            let affordable = seen.committed().wrapping_add(bought).min(peak);
            (seen.kind() == Kind::Tree && seen.reserved() < affordable)
                .then(|| seen.reserving(affordable))
        });
        let spent = match changed {
            Changed::Yes { was, is } => is.wrapping_sub(was),
            Changed::No | Changed::Gone | Changed::Contended => 0,
        };
        slots::give_back(self.committed, bought.wrapping_sub(spent));
        spent
    }

    /// Room is short: the tree gives back its spare slots but one, unless it is smaller than
    /// `floor` ([`floor`]). Returns the slots that this freed.
    #[inline(always)]
    pub fn settle(&self, id: u64, floor: u64) -> u64 {
        let Some(word) = self.table.find(id) else {
            return 0;
        };
        let changed = account::change(&word, id, |seen| {
            let keep = seen.used().wrapping_add(1);
            (seen.kind() == Kind::Tree && seen.used() >= floor && seen.reserved() > keep)
                .then(|| seen.reserving(keep))
        });
        self.lower(changed)
    }

    /// A process of the spine, as its program says: [`Role::Wrapper`] or [`Role::Gateway`].
    #[inline(always)]
    pub fn set_spine<P: Word>(&self, place: &P, role: Role) -> Became {
        let was = Place(place.load());
        let is = Place::new(role, 0);
        if !was.is_spine() || !is.is_spine() || was.has_left() {
            return Became::No;
        }
        if place.compare_exchange(was.0, is.0) == was.0 {
            Became::Yes(0)
        } else {
            Became::No
        }
    }

    /// A tree's root matches `protect`: it becomes a gateway and gives its reservation back.
    ///
    /// Its account is open from then on: each fork in it takes one slot and one token. Its
    /// children so far are still in there; the agent moves each, first as
    /// [`super::force::Post::Root`], then its descendants into that.
    #[inline(always)]
    pub fn protect<P: Word>(&self, place: &P) -> Became {
        let was = Place(place.load());
        let id = was.tree();
        let role = was.role();
        if id == 0 || !matches!(role, Role::Member | Role::Gateway) || was.has_left() {
            return Became::No;
        }
        let Some(word) = self.table.find(id) else {
            return Became::No;
        };
        // The role first: what it forks from now on are roots, whatever becomes of the account.
        // Asked again it opens an account that was too contended the first time.
        if place.compare_exchange(was.0, Place::new(Role::Gateway, id).0) != was.0 {
            return Became::No;
        }
        let changed = account::change(&word, id, |seen| Some(seen.opened()));
        Became::Yes(self.lower(changed))
    }

    /// Lowers `committed` by what an account has become smaller.
    #[inline(always)]
    fn lower(&self, changed: Changed) -> u64 {
        let freed = match changed {
            Changed::Yes { was, is } => was.wrapping_sub(is),
            Changed::No | Changed::Gone | Changed::Contended => 0,
        };
        slots::give_back(self.committed, freed);
        freed
    }
}
