//! Whole trees: what a fork asks for, what an exit gives back, and what the agent may change.
//!
//! `committed` counts each process of the spine once, and each tree with the larger of what it
//! uses and what is reserved for it ([`account`]). Within its reservation a tree's fork touches
//! its own word alone and cannot meet the cap: a server that was let start is not refused in the
//! middle of its start, whatever else happens.
//!
//! Three rules keep the sum right under any interleaving, without a lock:
//!
//! 1. `committed` is raised before an account grows and lowered after it shrank, each time by the
//!    difference that the exchange on the account's word has shown. In between it is too large,
//!    never too small: a spawn may be refused beside a race, and none is let through.
//! 2. A slot belongs to who holds its [`Place`]: a fork under way (its [`Grant`]), then the
//!    process's entry. A place is put into an entry or given back, once. A fork that fails is an
//!    exit: what it took may count otherwise by now (a settled tree, a sibling gone), and the word
//!    says what it is.
//! 3. Giving back cannot fail: it is made of additions. Only taking can lose its exchanges, and
//!    that is a refusal.
//!
//! What the agent does ([`adjust`], [`force`]) is done by a program that it runs in the kernel,
//! each operation whole. An agent that dies between two of them leaves a sum that is right.
//!
//! Waiting (issue 5 of 8) has its room here: slots of an entry that is being released are an
//! account too, and [`account::Kind`] has a number left.

pub mod account;
pub mod adjust;
pub mod ask;
pub mod force;
pub mod place;

use crate::bucket::Shape;
use crate::word::Word;
use bytemuck::{Pod, Zeroable};
pub use place::{Place, Role};

/// What the agent allows, as one run of a program sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Most slots.
    pub max_processes: u64,
    /// Slots below that which only wrappers may take.
    pub reserve: u64,
    /// Slots that a root asks for.
    pub tree_processes: u64,
    /// Tokens that a root asks for.
    pub tree_spawns: u64,
    /// Most processes of one entry from outside.
    pub guest_processes: u64,
}

impl Terms {
    /// Most slots for all but wrappers.
    #[inline(always)]
    #[must_use]
    pub const fn open_to_trees(&self) -> u64 {
        self.max_processes.saturating_sub(self.reserve)
    }
}

/// Where accounts are kept: in BPF a hash map by id.
pub trait Table {
    /// An account's word.
    type Word: Word;

    /// An id that no account ever had: 1 to [`place::MAX_ID`].
    fn fresh(&self) -> u64;

    /// The word of account `id`. By the time it is used it may be another's.
    fn find(&self, id: u64) -> Option<Self::Word>;

    /// Adds an account; false where there is no room.
    fn add(&self, id: u64, account: u64) -> bool;

    /// Removes an account that is gone. Said once, by whoever left it last.
    fn remove(&self, id: u64);
}

/// A target's gate, for one run of a program.
pub struct Gate<'a, W, T> {
    /// Slots taken: [`crate::slots`].
    pub committed: &'a W,
    /// The bucket's word: [`crate::bucket`].
    pub full_at: &'a W,
    /// Trees and guests.
    pub table: &'a T,
    /// What is allowed.
    pub terms: Terms,
    /// The bucket in force.
    pub shape: Shape,
    /// Now.
    pub now_ns: u64,
}

/// What a fork was given: a place for its child, and tokens. To be put into the child's entry
/// ([`Grant::place`]) or given back ([`Gate::give_back`]), once.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[must_use]
pub struct Grant {
    /// The child's.
    pub place: Place,
    /// Nanoseconds of bucket taken for it.
    pub token_ns: u64,
}

/// Why a fork was given nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No slots below the cap.
    Slots,
    /// No tokens.
    Tokens,
    /// Its entry's budget is used up.
    Guests,
    /// No room for another account, or a word was contended.
    Table,
    /// The spawner has just left the target: its fork is not ours to refuse.
    Left,
    /// The spawner is condemned: no limit was asked.
    Condemned,
}

/// What an exit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Itself alone.
    Others,
    /// A tree, of which it was the last.
    Tree,
    /// An entry from outside, of which it was the last.
    Guests,
}

#[cfg(test)]
mod tests;
