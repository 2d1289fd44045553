//! The cap on live processes: slots taken before a spawn and given back at its end.
//!
//! Taking is one compare-and-exchange and never an add with an undo: beside another CPU's undo an
//! add can refuse a spawn for which there is room (kernel-facts §2).

use crate::word::{self, Taken, Word};

/// Takes `ask` slots of `committed` if all of them fit below `cap`, or none.
#[inline(always)]
pub fn take<W: Word>(committed: &W, ask: u64, cap: u64) -> Taken {
    word::update(committed, |now| {
        let wanted = now.checked_add(ask)?;
        (wanted <= cap).then_some(wanted)
    })
}

/// Takes as many of `most` slots as fit below `cap`; returns how many.
///
/// None where the retries are used up too: for what is better with more and does without.
#[inline(always)]
pub fn take_some<W: Word>(committed: &W, most: u64, cap: u64) -> u64 {
    let mut some = 0;
    let taken = word::update(committed, |now| {
        let room = cap.saturating_sub(now);
        some = if most < room { most } else { room };
        if some == 0 {
            None
        } else {
            now.checked_add(some)
        }
    });
    if taken == Taken::Yes { some } else { 0 }
}

/// Takes `ask` slots if all of them fit below `cap`, else one, even over the cap; returns how many.
#[inline(always)]
pub fn take_or_force_one<W: Word>(committed: &W, ask: u64, cap: u64) -> u64 {
    if take(committed, ask, cap) == Taken::Yes {
        return ask;
    }
    force(committed, 1);
    1
}

/// Takes `ask` slots even over the cap: for what cannot be refused, as a process that was there
/// before the gate or entered from outside.
#[inline(always)]
pub fn force<W: Word>(committed: &W, ask: u64) {
    committed.fetch_add(ask);
}

/// Gives `n` slots back. Whoever took them gives them back once: first delete of the entry wins.
#[inline(always)]
pub fn give_back<W: Word>(committed: &W, n: u64) {
    committed.fetch_sub(n);
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::{Cell, RefCell};
    use proptest::prelude::*;
    extern crate std;
    use std::vec::Vec;

    /// A word with which other CPUs interfere: before each exchange the next of `others` happens.
    struct Contested {
        word: Cell<u64>,
        others: RefCell<Vec<Other>>,
        cap: u64,
    }

    #[derive(Clone, Debug)]
    enum Other {
        Take(u64),
        GiveBack,
        Nothing,
    }

    impl Contested {
        /// What another CPU does in between, by the same rules: it takes what fits, and gives
        /// back one slot where one is taken.
        fn interfere(&self) {
            let other = self.others.borrow_mut().pop();
            let now = self.word.get();
            match other {
                Some(Other::Take(n)) if now + n <= self.cap => self.word.set(now + n),
                Some(Other::GiveBack) if now > 0 => self.word.set(now - 1),
                _ => {}
            }
        }
    }

    impl Word for Contested {
        fn load(&self) -> u64 {
            self.word.get()
        }
        fn compare_exchange(&self, old: u64, new: u64) -> u64 {
            self.interfere();
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

    fn other() -> impl Strategy<Value = Other> {
        prop_oneof![
            (1u64..4).prop_map(Other::Take),
            Just(Other::GiveBack),
            Just(Other::Nothing),
        ]
    }

    proptest! {
        #[test]
        fn never_over_the_cap_whatever_interferes(
            start in 0u64..12, cap in 0u64..12, ask in 1u64..5,
            others in prop::collection::vec(other(), 0..100),
        ) {
            let start = start.min(cap);
            let contested = Contested { word: Cell::new(start), others: RefCell::new(others), cap };
            take(&contested, ask, cap);
            prop_assert!(contested.word.get() <= cap);
        }

        #[test]
        fn as_many_as_fit_whatever_interferes(
            start in 0u64..12, cap in 0u64..12, most in 0u64..5,
            others in prop::collection::vec(other(), 0..3),
        ) {
            let undisturbed = others.is_empty();
            let contested = Contested { word: Cell::new(start), others: RefCell::new(others), cap };
            let some = take_some(&contested, most, cap);
            prop_assert!(some <= most);
            prop_assert!(contested.word.get() <= cap.max(start));
            if undisturbed {
                prop_assert_eq!(some, most.min(cap.saturating_sub(start)));
                prop_assert_eq!(contested.word.get(), start + some);
            }
        }

        #[test]
        fn all_slots_come_back(
            cap in 1u64..20, asks in prop::collection::vec((1u64..5, any::<bool>()), 0..200),
        ) {
            let committed = core::sync::atomic::AtomicU64::new(0);
            let mut held = Vec::new();
            for (ask, leave) in asks {
                if take(&committed, ask, cap) == Taken::Yes {
                    held.push(ask);
                }
                prop_assert_eq!(Word::load(&committed), held.iter().sum::<u64>());
                prop_assert!(Word::load(&committed) <= cap);
                if leave && let Some(n) = held.pop() {
                    give_back(&committed, n);
                }
            }
            for n in held {
                give_back(&committed, n);
            }
            prop_assert_eq!(Word::load(&committed), 0);
        }
    }

    #[test]
    fn an_endless_ask_is_refused_and_does_not_wrap() {
        let committed = core::sync::atomic::AtomicU64::new(5);
        assert_eq!(take(&committed, u64::MAX, u64::MAX), Taken::Refused);
        assert_eq!(Word::load(&committed), 5);
    }

    #[test]
    fn threads_racing_never_pass_the_cap_and_return_all() {
        use std::sync::{Arc, atomic::AtomicU64};
        let committed = Arc::new(AtomicU64::new(0));
        let peak = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (committed, peak) = (committed.clone(), peak.clone());
                std::thread::spawn(move || {
                    let mut taken = 0;
                    for _ in 0..20_000 {
                        if take(&*committed, 1, 3) == Taken::Yes {
                            taken += 1;
                            let now = Word::load(&*committed);
                            peak.fetch_max(now, std::sync::atomic::Ordering::SeqCst);
                            give_back(&*committed, 1);
                        }
                    }
                    taken
                })
            })
            .collect();
        let taken: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
        assert!(taken > 0);
        assert!(Word::load(&*peak) <= 3);
        assert_eq!(Word::load(&*committed), 0);
    }
}
