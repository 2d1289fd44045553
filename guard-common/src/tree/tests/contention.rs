//! Every exchange lost: refused, counted as such, and nothing kept. Giving back loses nothing.

extern crate std;

use crate::bucket::Shape;
use crate::tree::account::{Account, Kind};
use crate::tree::adjust::Became;
use crate::tree::force::{Moved, Post};
use crate::tree::place::{Place, Role};
use crate::tree::{Gate, Left, Refusal, Table, Terms};
use crate::word::{RETRIES, Word};
use core::cell::Cell;

/// A word whose exchanges are all lost where it is `contested`: others add one and take it away.
struct Contested {
    word: Cell<u64>,
    contested: bool,
    turns: Cell<u32>,
}

impl Contested {
    fn new(word: u64, contested: bool) -> Self {
        Self {
            word: Cell::new(word),
            contested,
            turns: Cell::new(0),
        }
    }
}

impl Word for Contested {
    fn load(&self) -> u64 {
        self.word.get()
    }

    fn compare_exchange(&self, old: u64, new: u64) -> u64 {
        if self.contested {
            let turn = self.turns.replace(self.turns.get() + 1);
            let by = if turn.is_multiple_of(2) { 1 } else { u64::MAX };
            self.word.set(self.word.get().wrapping_add(by));
        }
        let seen = self.word.get();
        if seen == old {
            self.word.set(new);
        }
        seen
    }

    fn fetch_add(&self, n: u64) -> u64 {
        self.word.replace(self.word.get().wrapping_add(n))
    }
}

/// One account, of id 1.
struct One(Contested);

impl<'a> Table for &'a One {
    type Word = &'a Contested;

    fn fresh(&self) -> u64 {
        2
    }

    fn find(&self, id: u64) -> Option<&'a Contested> {
        (id == 1).then_some(&self.0)
    }

    fn add(&self, _: u64, _: u64) -> bool {
        false
    }

    fn remove(&self, _: u64) {}
}

struct Words {
    committed: Contested,
    full_at: Contested,
    one: One,
}

/// Five slots taken: four of tree 1, which uses `used`, and one of the spine.
fn words(used: u64, contested: [bool; 3]) -> Words {
    let account = Account::new(1, Kind::Tree, used, 4);
    Words {
        committed: Contested::new(1 + account.committed(), contested[0]),
        full_at: Contested::new(1_000, contested[1]),
        one: One(Contested::new(account.0, contested[2])),
    }
}

fn with_gate<R>(words: &Words, call: impl FnOnce(&Gate<'_, Contested, &One>) -> R) -> R {
    call(&Gate {
        committed: &words.committed,
        full_at: &words.full_at,
        table: &&words.one,
        terms: Terms {
            max_processes: 100,
            reserve: 0,
            tree_processes: 4,
            tree_spawns: 4,
            guest_processes: 1,
        },
        shape: Shape {
            token_ns: 1,
            burst: 100,
        },
        now_ns: 1_000,
    })
}

#[test]
fn contention_is_a_refusal_that_keeps_nothing() {
    assert_eq!(RETRIES % 2, 0, "the others end where they began");
    let check = |used: u64, contested: [bool; 3], parent: Place, expected: Refusal| {
        let words = words(used, contested);
        let before = (words.committed.load(), words.one.0.load());
        let answer = with_gate(&words, |gate| gate.ask(&Contested::new(parent.0, false)));
        assert_eq!(answer, Err(expected), "{parent:?} {contested:?}");
        assert_eq!((words.committed.load(), words.one.0.load()), before);
        assert_eq!(words.full_at.load(), 1_000);
    };
    let (member, spine) = (Place::new(Role::Member, 1), |role| Place::new(role, 0));
    let [slots, tokens, tree] = [0, 1, 2].map(|at| [at == 0, at == 1, at == 2]);
    check(1, tree, member, Refusal::Table);
    check(4, tree, member, Refusal::Table);
    check(4, slots, member, Refusal::Table);
    check(4, tokens, member, Refusal::Table);
    check(4, slots, spine(Role::Wrapper), Refusal::Table);
    check(4, slots, spine(Role::Gateway), Refusal::Table);
    check(4, tokens, spine(Role::Gateway), Refusal::Table);
    // No room for the root's account.
    check(4, [false; 3], spine(Role::Gateway), Refusal::Table);
}

#[test]
fn within_its_reservation_a_member_needs_neither_slots_nor_tokens() {
    let words = words(3, [true, true, false]);
    let member = Contested::new(Place::new(Role::Member, 1).0, false);
    let grant = with_gate(&words, |gate| gate.ask(&member)).unwrap();
    assert_eq!((grant.token_ns, words.committed.load()), (0, 5));
}

#[test]
fn what_the_agent_asks_for_keeps_nothing_either() {
    let words = words(1, [false, false, true]);
    let before = (words.committed.load(), words.one.0.load());
    let place = Contested::new(Place::new(Role::Wrapper, 0).0, false);
    with_gate(&words, |gate| {
        assert_eq!(gate.raise(1, 8, u64::MAX), 0);
        assert_eq!(gate.settle(1, 0), 0);
        assert_eq!(gate.force(Post::In { id: 1, hold: true }), None);
        assert_eq!(gate.force(Post::Root), None);
        let joined = gate.move_to(&place, Post::In { id: 1, hold: false });
        assert_eq!(joined, Moved::Nowhere);
    });
    assert_eq!((words.committed.load(), words.one.0.load()), before);
    assert_eq!(place.load(), Place::new(Role::Wrapper, 0).0);
}

/// Asked again it opens the account.
#[test]
fn a_gateway_whose_account_was_contested_asks_again() {
    let mut words = words(2, [false, false, true]);
    let place = Contested::new(Place::new(Role::Member, 1).0, false);
    let protect = |words: &Words| with_gate(words, |gate| gate.protect(&place));
    assert_eq!(protect(&words), Became::Yes(0));
    assert_eq!(Place(place.load()).role(), Role::Gateway);
    words.one.0.contested = false;
    assert_eq!(protect(&words), Became::Yes(2));
    assert_eq!(words.committed.load(), 3);
}

#[test]
fn an_exit_loses_nothing() {
    let words = words(2, [true; 3]);
    let member = Place::new(Role::Member, 1);
    with_gate(&words, |gate| {
        assert_eq!(gate.leave(member), Left::Others);
        assert_eq!(words.committed.load(), 5);
        assert_eq!(gate.leave(member), Left::Tree);
        assert_eq!(words.committed.load(), 1);
        assert_eq!(gate.leave(Place::new(Role::Gateway, 0)), Left::Others);
    });
    assert_eq!(words.committed.load(), 0);
}
