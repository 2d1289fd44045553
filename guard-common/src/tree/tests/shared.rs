//! The words and the table that an operation finds: each access is a step, and checked.

use super::machine::Run;
use super::state::{Pid, State};
use crate::tree::Table;
use crate::tree::account::Account;
use crate::word::Word;

/// No element.
const NONE: u64 = u64::MAX;

/// Which word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    Committed,
    FullAt,
    Place(Pid),
    Dead(Pid),
    Account(usize),
}

/// A word of the shared state.
#[derive(Clone, Copy)]
pub struct At<'r, 'a> {
    run: &'r Run<'a>,
    at: Where,
}

impl<'r, 'a> At<'r, 'a> {
    pub fn new(run: &'r Run<'a>, at: Where) -> Self {
        Self { run, at }
    }

    fn of(self, state: &mut State) -> &mut u64 {
        match self.at {
            Where::Committed => &mut state.committed,
            Where::FullAt => &mut state.full_at,
            Where::Place(pid) => &mut state.places[pid],
            Where::Dead(pid) => &mut state.dead[pid],
            Where::Account(element) => &mut state.accounts[element],
        }
    }
}

impl Word for At<'_, '_> {
    fn load(&self) -> u64 {
        self.run.step(|state| {
            self.run.look(self.at, state);
            *self.of(state)
        })
    }

    fn compare_exchange(&self, old: u64, new: u64) -> u64 {
        let bound = self.run.bound.get();
        self.run.step(|state| {
            self.run.look(self.at, state);
            let seen = *self.of(state);
            if seen == old {
                *self.of(state) = new;
                let admits = self.at == Where::Committed && new > old;
                assert!(!admits || new <= bound, "{new} admitted over {bound}");
                if let Where::Account(element) = self.at {
                    let id = state.ids[element];
                    assert!(Account(old).is(id), "account {id} changed, which is gone");
                }
            }
            seen
        })
    }

    fn fetch_add(&self, n: u64) -> u64 {
        self.run.step(|state| {
            let seen = *self.of(state);
            *self.of(state) = seen.wrapping_add(n);
            let by = n as i64;
            match self.at {
                Where::Committed | Where::FullAt => {
                    assert!(
                        by >= 0 || seen >= by.unsigned_abs(),
                        "{:?} below 0",
                        self.at
                    );
                }
                Where::Account(element) => {
                    let id = state.ids[element];
                    assert!(by == -1 && Account(seen).is(id), "nobody left account {id}");
                }
                Where::Place(_) | Where::Dead(_) => {}
            }
            seen
        })
    }
}

/// The table of accounts: as many elements as the scene has, given to others at once.
pub struct Elements<'r, 'a>(&'r Run<'a>);

impl<'r, 'a> Elements<'r, 'a> {
    pub fn of(run: &'r Run<'a>) -> Self {
        Self(run)
    }
}

impl<'r, 'a> Table for Elements<'r, 'a> {
    type Word = At<'r, 'a>;

    fn fresh(&self) -> u64 {
        self.0.fixed.id
    }

    fn find(&self, id: u64) -> Option<At<'r, 'a>> {
        let element = self
            .0
            .step(|state| state.element(id).map_or(NONE, |at| at as u64));
        (element != NONE).then(|| At::new(self.0, Where::Account(element as usize)))
    }

    fn add(&self, id: u64, account: u64) -> bool {
        let added = self.0.step(|state| {
            assert!(state.element(id).is_none(), "id {id} twice");
            let mut elements = state.ids.iter().take(state.elements);
            let Some(free) = elements.position(|&id| id == 0) else {
                return 0;
            };
            state.ids[free] = id;
            state.accounts[free] = account;
            1
        });
        added == 1
    }

    fn remove(&self, id: u64) {
        self.0.step(|state| {
            let element = state.element(id).unwrap();
            assert_eq!(Account(state.accounts[element]).used(), 0, "account {id}");
            state.ids[element] = 0;
            0
        });
    }
}
