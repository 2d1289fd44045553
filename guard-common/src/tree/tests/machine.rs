//! Runs an operation of the real code one shared access at a time.
//!
//! An operation is run from its beginning for each of its steps: what it saw so far is played back
//! to it from a log, the next access is done for real, and what comes after goes to a copy that is
//! thrown away. So the code needs no hooks for being interrupted, and a CPU that stands still is
//! just a log.

extern crate std;

use super::op::{End, Op};
use super::shared::{At, Elements, Where};
use super::state::{Fate, NOW_NS, Pid, State};
use crate::bucket::Shape;
use crate::tree::account::Account;
use crate::tree::force::Post;
use crate::tree::place::{self, Place};
use crate::tree::{Gate, Terms};
use crate::word::Word;
use core::cell::{Cell, RefCell};

/// One run of one operation up to one step further.
pub struct Run<'a> {
    real: RefCell<&'a mut State>,
    scratch: RefCell<Option<State>>,
    log: &'a [u64],
    fresh: Cell<Option<u64>>,
    at: Cell<usize>,
    /// Most that an admission of this operation may bring `committed` to.
    pub bound: Cell<u64>,
    /// Where this step looked at the account that a forking parent is in: whether it was full.
    full: Cell<Option<bool>>,
    op: Cell<Option<Op>>,
    pub fixed: Fixed,
}

/// What does not change while an operation runs.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    pub terms: Terms,
    pub shape: Shape,
    /// Whether the cap may change, so that reading it is a step.
    pub cap_changes: bool,
    /// Id of the account that the operation may make.
    pub id: u64,
}

/// What one step of an operation showed.
pub struct Step {
    /// What it read.
    pub seen: Option<u64>,
    /// Where it looked at the account that a forking parent is in: whether that was full.
    pub full: Option<bool>,
    /// How the operation ended, where this was its last step.
    pub end: Option<End>,
}

impl<'a> Run<'a> {
    pub fn new(state: &'a mut State, log: &'a [u64], fixed: Fixed) -> Self {
        Self {
            real: RefCell::new(state),
            scratch: RefCell::new(None),
            log,
            fresh: Cell::new(None),
            at: Cell::new(0),
            bound: Cell::new(u64::MAX),
            full: Cell::new(None),
            op: Cell::new(None),
            fixed,
        }
    }

    /// Runs `op` one step further.
    pub fn advance(self, op: Op) -> Step {
        self.op.set(Some(op));
        let end = self.perform(op);
        let last = self.at.get() <= self.log.len() + 1;
        Step {
            seen: self.fresh.get(),
            full: self.full.get(),
            end: last.then_some(end),
        }
    }

    /// Notes what a fork's look at its parent's account, done for real, could find.
    pub fn look(&self, at: Where, state: &State) {
        let real = self.at.get() == self.log.len() + 1;
        let (Where::Account(element), Some(Op::Fork { parent, .. }), true) =
            (at, self.op.get(), real)
        else {
            return;
        };
        let id = Place(state.places[parent]).tree();
        if state.element(id) == Some(element) {
            let account = Account(state.accounts[element]);
            self.full.set(Some(account.used() >= account.reserved()));
        }
    }

    /// One access to what is shared.
    pub fn step(&self, access: impl FnOnce(&mut State) -> u64) -> u64 {
        let at = self.at.replace(self.at.get() + 1);
        if let Some(&seen) = self.log.get(at) {
            return seen;
        }
        if at > self.log.len() {
            return access(self.scratch.borrow_mut().as_mut().unwrap());
        }
        let mut real = self.real.borrow_mut();
        let seen = access(&mut real);
        self.fresh.set(Some(seen));
        *self.scratch.borrow_mut() = Some(**real);
        seen
    }

    fn perform(&self, op: Op) -> End {
        match op {
            Op::Fork {
                parent,
                child,
                fails,
            } => self.fork(parent, child, fails),
            Op::Exit(pid) => {
                if self.dead(pid).compare_exchange(0, 1) != 0 {
                    return End::Done;
                }
                let place = place::vacate(&self.place(pid));
                End::Left(self.with_gate(|gate| gate.leave(place)))
            }
            Op::Enter(pid, post) => {
                let place = self.with_gate(|gate| gate.force(post));
                if let Some(place) = place {
                    self.born(pid, place, 0);
                } else {
                    self.never(pid);
                }
                End::Entered(place.is_some())
            }
            Op::Spine(pid, role) => {
                End::Became(self.with_gate(|gate| gate.set_spine(&self.place(pid), role)))
            }
            Op::Raise(pid, peak, room) => {
                let id = Place(self.place(pid).load()).tree();
                End::Slots(self.with_gate(|gate| gate.raise(id, peak, room)))
            }
            Op::Settle(pid, floor) => {
                let id = Place(self.place(pid).load()).tree();
                End::Slots(self.with_gate(|gate| gate.settle(id, floor)))
            }
            Op::Protect(pid) => End::Became(self.with_gate(|gate| gate.protect(&self.place(pid)))),
            Op::Move(pid, post) => {
                End::Moved(self.with_gate(|gate| gate.move_to(&self.place(pid), post)))
            }
            Op::Follow(pid, other) => {
                let id = Place(self.place(other).load()).tree();
                let post = Post::In { id, hold: true };
                End::Moved(self.with_gate(|gate| gate.move_to(&self.place(pid), post)))
            }
            Op::Cap(cap) => {
                self.step(|state| core::mem::replace(&mut state.cap, cap));
                End::Done
            }
        }
    }

    /// As the hooks do it: task_alloc, then task_newtask or task_free.
    fn fork(&self, parent: Pid, child: Pid, fails: bool) -> End {
        match self.with_gate(|gate| gate.ask(&self.place(parent))) {
            Ok(grant) if fails => {
                self.with_gate(|gate| gate.give_back(grant));
                self.never(child);
                End::Done
            }
            Ok(grant) => {
                self.born(child, grant.place, grant.token_ns);
                End::Done
            }
            Err(met) => End::Refused(met),
        }
    }

    fn born(&self, pid: Pid, place: Place, token_ns: u64) {
        self.step(|state| {
            state.places[pid] = place.0;
            state.fates[pid] = Fate::Born;
            state.spent += token_ns;
            0
        });
    }

    fn never(&self, pid: Pid) {
        self.step(|state| {
            state.fates[pid] = Fate::Never;
            0
        });
    }

    /// Reads the cap, as a program does from its map, and calls.
    fn with_gate<R>(&self, call: impl FnOnce(&Gate<'_, At<'_, 'a>, Elements<'_, 'a>>) -> R) -> R {
        let mut terms = self.fixed.terms;
        if self.fixed.cap_changes {
            terms.max_processes = self.step(|state| state.cap);
        }
        self.bound.set(terms.max_processes);
        call(&Gate {
            committed: &self.word(Where::Committed),
            full_at: &self.word(Where::FullAt),
            table: &Elements::of(self),
            terms,
            shape: self.fixed.shape,
            now_ns: NOW_NS,
        })
    }

    fn word(&self, at: Where) -> At<'_, 'a> {
        At::new(self, at)
    }

    fn place(&self, pid: Pid) -> At<'_, 'a> {
        self.word(Where::Place(pid))
    }

    fn dead(&self, pid: Pid) -> At<'_, 'a> {
        self.word(Where::Dead(pid))
    }
}
