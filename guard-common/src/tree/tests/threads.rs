//! Real threads on real atomics: a storm of trees in a small table, whose elements change owners
//! thousands of times.

extern crate std;

use crate::bucket::Shape;
use crate::tree::place::{self, Place, Role};
use crate::tree::{Gate, Table, Terms};
use crate::word::Word;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::vec::Vec;

const CAP: u64 = 9;
const TREE: u64 = 2;
const ACCOUNTS: usize = 3;
/// No id: an element that is being filled.
const BUSY: u64 = u64::MAX;

#[derive(Default)]
struct Shared {
    committed: AtomicU64,
    full_at: AtomicU64,
    last_id: AtomicU64,
    ids: [AtomicU64; ACCOUNTS],
    accounts: [AtomicU64; ACCOUNTS],
    live: AtomicU64,
    peak: AtomicU64,
}

impl<'a> Table for &'a Shared {
    type Word = &'a AtomicU64;

    fn fresh(&self) -> u64 {
        self.last_id.fetch_add(1, SeqCst) + 1
    }

    fn find(&self, id: u64) -> Option<&'a AtomicU64> {
        let at = self.ids.iter().position(|other| other.load(SeqCst) == id)?;
        self.accounts.get(at)
    }

    fn add(&self, id: u64, account: u64) -> bool {
        let claim = |free: &AtomicU64| free.compare_exchange(0, BUSY, SeqCst, SeqCst).is_ok();
        let Some(at) = self.ids.iter().position(claim) else {
            return false;
        };
        self.accounts[at].store(account, SeqCst);
        self.ids[at].store(id, SeqCst);
        true
    }

    fn remove(&self, id: u64) {
        let at = self.ids.iter().position(|other| other.load(SeqCst) == id);
        self.ids[at.unwrap()].store(0, SeqCst);
    }
}

impl Shared {
    fn with_gate<R>(&self, call: impl FnOnce(&Gate<'_, AtomicU64, &Self>) -> R) -> R {
        call(&Gate {
            committed: &self.committed,
            full_at: &self.full_at,
            table: &self,
            terms: Terms {
                max_processes: CAP,
                reserve: 1,
                tree_processes: TREE,
                tree_spawns: TREE,
                guest_processes: 1,
            },
            shape: Shape {
                token_ns: 0,
                burst: 0,
            },
            now_ns: 1,
        })
    }

    /// A process of this parent, if it is let live; every third fork fails.
    fn fork(&self, parent: &AtomicU64, turn: u64) -> Option<AtomicU64> {
        let grant = self.with_gate(|gate| gate.ask(parent)).ok()?;
        if turn.is_multiple_of(3) {
            self.with_gate(|gate| gate.give_back(grant));
            return None;
        }
        let live = self.live.fetch_add(1, SeqCst) + 1;
        self.peak.fetch_max(live, SeqCst);
        Some(AtomicU64::new(grant.place.0))
    }

    fn exit(&self, place: &AtomicU64) {
        self.live.fetch_sub(1, SeqCst);
        self.with_gate(|gate| gate.leave(place::vacate(place)));
    }

    /// A root, its children, and an agent that asks for this and that.
    fn storm(&self, gateway: &AtomicU64) -> u64 {
        let mut born = 0;
        for turn in 0..20_000 {
            let Some(root) = self.fork(gateway, turn) else {
                continue;
            };
            let id = Place(Word::load(&root)).tree();
            self.with_gate(|gate| gate.raise(id, 2 + turn % 3, u64::MAX));
            let children: Vec<_> = (turn..turn + 4)
                .filter_map(|turn| self.fork(&root, turn))
                .collect();
            self.with_gate(|gate| gate.settle(id, 0));
            // Half of them are gone before their late brothers are asked about.
            self.with_gate(|gate| gate.settle(id.saturating_sub(1), 0));
            self.exit(&root);
            born += 1 + children.len() as u64;
            children.iter().for_each(|child| self.exit(child));
        }
        born
    }
}

#[test]
fn a_storm_of_trees_leaves_nothing_and_never_passes_the_cap() {
    let shared = Shared::default();
    let gateway = AtomicU64::new(Place::new(Role::Gateway, 0).0);
    let born: u64 = thread::scope(|scope| {
        let storms: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| shared.storm(&gateway)))
            .collect();
        storms.into_iter().map(|storm| storm.join().unwrap()).sum()
    });
    assert!(born > 0);
    assert!(
        shared.peak.load(SeqCst) < CAP,
        "the reserve is not the trees'"
    );
    assert_eq!(Word::load(&shared.committed), 0);
    assert!(shared.ids.iter().all(|id| id.load(SeqCst) == 0));
}
