//! All that the CPUs share, what is known of it beside, and what must be true of it.

extern crate std;

use crate::tree::account::{Account, Kind, MOST};
use crate::tree::place::{Place, Role};
use std::format;
use std::string::String;

/// A process of a scene.
pub type Pid = usize;

/// Most processes of a scene.
pub const PROCESSES: usize = 8;

/// Most accounts of a scene.
pub const ACCOUNTS: usize = 4;

/// The time in all scenes, and the bucket's word when it is full.
pub const NOW_NS: u64 = 1_000;

/// What has become of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Its fork has not ended.
    Open,
    /// It was born; its place says whether it lives.
    Born,
    /// Its fork was refused, or failed.
    Never,
}

/// Shared memory, and the fates that the model keeps of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub committed: u64,
    pub full_at: u64,
    pub cap: u64,
    pub places: [u64; PROCESSES],
    pub dead: [u64; PROCESSES],
    /// Elements of the table: how many accounts have room.
    pub elements: usize,
    /// Their ids; 0: free. Their words stay where they are, as in a map.
    pub ids: [u64; ACCOUNTS],
    pub accounts: [u64; ACCOUNTS],
    /// Ids up to here are given away.
    pub last_id: u64,
    pub fates: [Fate; PROCESSES],
    /// Tokens of children that were born.
    pub spent: u64,
    /// Forks refused.
    pub refused: u64,
}

impl State {
    pub fn new(elements: usize, cap: u64) -> Self {
        Self {
            committed: 0,
            full_at: NOW_NS,
            cap,
            elements,
            places: [0; PROCESSES],
            dead: [0; PROCESSES],
            ids: [0; ACCOUNTS],
            accounts: [0; ACCOUNTS],
            last_id: 0,
            fates: [Fate::Open; PROCESSES],
            spent: 0,
            refused: 0,
        }
    }

    /// The element of account `id`.
    pub fn element(&self, id: u64) -> Option<usize> {
        self.ids.iter().position(|&other| id != 0 && other == id)
    }

    pub fn is_alive(&self, pid: Pid) -> bool {
        self.fates[pid] == Fate::Born && !Place(self.places[pid]).has_left()
    }

    fn alive(&self) -> impl Iterator<Item = Place> + '_ {
        (0..self.places.len())
            .filter(|&pid| self.is_alive(pid))
            .map(|pid| Place(self.places[pid]))
    }

    /// Living processes of account `id`.
    pub fn alive_in(&self, id: u64) -> u64 {
        self.alive().filter(|place| place.tree() == id).count() as u64
    }

    /// Accounts that exist, with their ids.
    pub fn trees(&self) -> impl Iterator<Item = (u64, Account)> + '_ {
        let accounts = self.accounts.iter().map(|&word| Account(word));
        self.ids
            .iter()
            .copied()
            .zip(accounts)
            .filter(|(id, _)| *id != 0)
    }

    /// What `committed` is to be at rest: the spine and the trees.
    pub fn owed(&self) -> u64 {
        let spine = self.alive().filter(|place| place.is_spine());
        let trees = self.trees().map(|(_, account)| account.committed());
        spine.count() as u64 + trees.sum::<u64>()
    }

    /// Living processes that the cap is about.
    pub fn live(&self) -> u64 {
        self.alive()
            .filter(|place| !matches!(place.role(), Role::Nobody | Role::Guest))
            .count() as u64
    }

    /// What must be true after each step.
    pub fn check_now(&self) -> Result<(), String> {
        let owed = self.owed();
        if self.committed < owed {
            return Err(format!("committed {} is below {owed}", self.committed));
        }
        if self.committed < self.live() {
            return Err(format!("{} processes live unaccounted", self.live()));
        }
        for place in self.alive().filter(|place| place.tree() != 0) {
            let id = place.tree();
            let account = self.element(id).map(|at| Account(self.accounts[at]));
            let Some(account) = account.filter(|account| account.is(id)) else {
                return Err(format!("a process lives in account {id}, which is gone"));
            };
            if account.used() < self.alive_in(id) {
                return Err(format!("account {id} counts too few: {account:?}"));
            }
        }
        Ok(())
    }

    /// What must be true when nothing is under way.
    pub fn check_at_rest(&self) -> Result<(), String> {
        let owed = self.owed();
        if self.committed != owed {
            return Err(format!("committed is {}, owed are {owed}", self.committed));
        }
        for (id, account) in self.trees() {
            if account.used() == 0 || account.used() != self.alive_in(id) {
                return Err(format!("account {id} does not count its own: {account:?}"));
            }
            if account.kind() != Kind::Tree && account.reserved() != 0 {
                return Err(format!("account {id} reserves: {account:?}"));
            }
            assert!(account.reserved() < MOST);
        }
        if self.full_at != NOW_NS + self.spent {
            let taken = self.full_at - NOW_NS;
            return Err(format!("{taken} tokens are gone for {} spent", self.spent));
        }
        Ok(())
    }
}
