//! Forks and exits: slots and tokens taken and given back.

use super::account::{self, Account, Changed, Kind};
use super::{Gate, Grant, Left, Place, Refusal, Role, Table};
use crate::bucket;
use crate::slots;
use crate::word::{Taken, Word};

impl<W: Word, T: Table> Gate<'_, W, T> {
    /// A process forks a process: asks for a place for the child.
    ///
    /// # Errors
    /// The fork is to be refused, and nothing was taken; [`Refusal::Left`]: it is to pass
    /// unwatched.
    #[inline(always)]
    pub fn ask<P: Word>(&self, parent: &P) -> Result<Grant, Refusal> {
        let seen = Place(parent.load());
        if seen.has_left() {
            return Err(Refusal::Left);
        }
        match self.ask_at(seen) {
            Ok(grant) => Ok(grant),
            Err(met) => self.look_again(parent, met),
        }
    }

    /// Before a member is refused: whether it has a spare slot by now. A sibling may have ended, or
    /// the agent may have moved the parent, and half a tree costs more than a look.
    ///
    /// Another whole attempt would make the verifier walk six times as many instructions. So a fork
    /// whose parent is moved beside it may find no room where there is some.
    #[inline(always)]
    fn look_again<P: Word>(&self, parent: &P, met: Refusal) -> Result<Grant, Refusal> {
        let now = Place(parent.load());
        if now.has_left() {
            return Err(Refusal::Left);
        }
        let tree = now.tree();
        if now.role() == Role::Member {
            if let Some(word) = self.table.find(tree)
                && join(&word, tree, spare) == Ok(true)
            {
                return Ok(grant(Role::Member, tree, 0));
            }
            // It may have gone outside since then, and its account with it.
            if Place(parent.load()).has_left() {
                return Err(Refusal::Left);
            }
        }
        // The account was gone, and the process is still here: moved.
        Err(if met == Refusal::Left {
            Refusal::Table
        } else {
            met
        })
    }

    /// As [`Gate::ask`], of a parent in this place.
    #[inline(always)]
    fn ask_at(&self, parent: Place) -> Result<Grant, Refusal> {
        let tree = parent.tree();
        match parent.role() {
            Role::Nobody => Err(Refusal::Condemned),
            Role::Wrapper => {
                let token_ns = self.buy(1, 0, self.terms.max_processes)?;
                Ok(grant(Role::Wrapper, 0, token_ns))
            }
            Role::Gateway => self.root(),
            Role::Member => {
                let token_ns = self.member(tree)?;
                Ok(grant(Role::Member, tree, token_ns))
            }
            Role::Guest => {
                self.guest(tree)?;
                Ok(grant(Role::Guest, tree, 0))
            }
        }
    }

    /// A gateway's spawn: a whole tree or none.
    #[inline(always)]
    fn root(&self) -> Result<Grant, Refusal> {
        let slots = self.tree_slots();
        let token_ns = self.buy(slots, self.terms.tree_spawns, self.terms.open_to_trees())?;
        let id = self.table.fresh();
        if self.table.add(id, Account::new(id, Kind::Tree, 1, slots).0) {
            return Ok(grant(Role::Member, id, token_ns));
        }
        self.sell(slots, token_ns);
        Err(Refusal::Table)
    }

    /// A member's spawn: free within the reservation, beyond it one slot and one token.
    #[inline(always)]
    fn member(&self, id: u64) -> Result<u64, Refusal> {
        let word = self.table.find(id).ok_or(Refusal::Left)?;
        if join(&word, id, spare)? {
            return Ok(0);
        }
        let token_ns = match self.buy(1, 1, self.terms.open_to_trees()) {
            Ok(token_ns) => token_ns,
            Err(met) => {
                return if join(&word, id, spare)? {
                    Ok(0)
                } else {
                    Err(met)
                };
            }
        };
        match account::change(&word, id, Account::joined) {
            Changed::Yes { was, is } if was < is => Ok(token_ns),
            other => {
                // It found room after all, or nothing.
                self.sell(1, token_ns);
                joined(other).and_then(|found| found.then_some(0).ok_or(Refusal::Table))
            }
        }
    }

    /// A guest's spawn: within its entry's budget.
    #[inline(always)]
    fn guest(&self, id: u64) -> Result<(), Refusal> {
        let word = self.table.find(id).ok_or(Refusal::Left)?;
        let most = self.terms.guest_processes;
        if join(&word, id, |seen| seen.used() < most)? {
            Ok(())
        } else {
            Err(Refusal::Guests)
        }
    }

    /// Gives back what a fork that failed had been given. Call it once.
    #[inline(always)]
    pub fn give_back(&self, grant: Grant) -> Left {
        self.full_at.fetch_sub(grant.token_ns);
        self.leave(grant.place)
    }

    /// A process ended, or went outside: gives its place back, which [`super::place::vacate`] took
    /// over. The last one of an account returns all that was reserved in it.
    #[inline(always)]
    pub fn leave(&self, place: Place) -> Left {
        let id = place.tree();
        if id == 0 {
            if place.role() != Role::Nobody {
                slots::give_back(self.committed, 1);
            }
            return Left::Others;
        }
        // It is there: the place that we hold is one of its processes.
        let Some(word) = self.table.find(id) else {
            return Left::Others;
        };
        let (was, freed) = account::leave(&word);
        slots::give_back(self.committed, freed);
        if was.used() > 1 {
            return Left::Others;
        }
        self.table.remove(id);
        match was.kind() {
            Kind::Tree => Left::Tree,
            Kind::Guest => Left::Guests,
            Kind::Open => Left::Others,
        }
    }

    /// Slots that a root asks for.
    #[inline(always)]
    pub(super) fn tree_slots(&self) -> u64 {
        self.terms.tree_processes.clamp(1, account::MOST)
    }

    /// Slots and tokens, all or nothing; returns the nanoseconds of bucket that the tokens are.
    ///
    /// It looks for slots before it takes tokens, so that a storm at the cap leaves the bucket
    /// alone, and takes them after: what must be undone is nearly always nothing.
    #[inline(always)]
    fn buy(&self, slots: u64, tokens: u64, cap: u64) -> Result<u64, Refusal> {
        if self.committed.load().saturating_add(slots) > cap {
            return Err(Refusal::Slots);
        }
        let mut token_ns = 0;
        if tokens > 0 {
            match bucket::take(self.full_at, self.now_ns, tokens, self.shape) {
                Taken::Yes => token_ns = self.shape.cost(tokens),
                Taken::Refused => return Err(Refusal::Tokens),
                Taken::Contended => return Err(Refusal::Table),
            }
        }
        let met = match slots::take(self.committed, slots, cap) {
            Taken::Yes => return Ok(token_ns),
            Taken::Refused => Refusal::Slots,
            Taken::Contended => Refusal::Table,
        };
        self.full_at.fetch_sub(token_ns);
        Err(met)
    }

    /// Undoes [`Gate::buy`].
    #[inline(always)]
    pub(super) fn sell(&self, slots: u64, token_ns: u64) {
        self.full_at.fetch_sub(token_ns);
        slots::give_back(self.committed, slots);
    }
}

const fn grant(role: Role, tree: u64, token_ns: u64) -> Grant {
    Grant {
        place: Place::new(role, tree),
        token_ns,
    }
}

/// Whether one more process changes nothing in `committed`.
#[inline(always)]
fn spare(seen: Account) -> bool {
    seen.used() < seen.reserved()
}

/// Joins where `may` says so; false where it does not.
#[inline(always)]
fn join<W: Word>(word: &W, id: u64, may: impl Fn(Account) -> bool) -> Result<bool, Refusal> {
    joined(account::change(word, id, |seen| {
        if may(seen) { seen.joined() } else { None }
    }))
}

#[inline(always)]
fn joined(changed: Changed) -> Result<bool, Refusal> {
    match changed {
        Changed::Yes { .. } => Ok(true),
        Changed::No => Ok(false),
        Changed::Gone => Err(Refusal::Left),
        Changed::Contended => Err(Refusal::Table),
    }
}
