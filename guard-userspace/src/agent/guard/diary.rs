//! What the agent does is journalled: before it is carried out, and how it ended.

use super::Guard;
use crate::agent::clock;
use crate::config::Mode;
use crate::journal::{Health, Journal, Pen, Written};
use crate::model::{Action, Outcome, Stamp, TargetId};
use crate::rails::Permit;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::Receiver;

/// Target, action, order and tree: what an outcome has of the decision that it is of.
type Key = (TargetId, &'static str, u64, u64);

/// The journal, and what was begun and has not ended.
#[derive(Debug, Default)]
pub struct Diary {
    journal: Option<Journal>,
    pen: Option<Pen>,
    health: Option<Receiver<Health>>,
    problem: Option<String>,
    open: BTreeMap<Key, VecDeque<String>>,
}

impl Diary {
    /// In `observe` nothing is done, so nothing is journalled.
    pub fn open(state_dir: &Path, mode: Mode) -> Self {
        if mode == Mode::Observe {
            return Self::default();
        }
        match Journal::open(state_dir, clock::now().wall_ms) {
            Ok((journal, pen, health)) => Self {
                journal: Some(journal),
                pen: Some(pen),
                health: Some(health),
                ..Self::default()
            },
            Err(error) => {
                let why = format!("actions are not journalled: no thread: {error}");
                tracing::error!(event = "journal_degraded", "{why}");
                Self {
                    problem: Some(why),
                    ..Self::default()
                }
            }
        }
    }

    /// Why it does not write now.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Hears how the journal is.
    pub fn look(&mut self) {
        let health = self.health.iter().flat_map(Receiver::try_iter).last();
        if let Some(health) = health {
            self.problem = health;
        }
    }

    /// These are about to be carried out; the last line is to be waited for.
    fn begun(&mut self, at: Stamp, name: &str, permits: &[Permit]) -> Written {
        let Some(journal) = &self.journal else {
            return Written::default();
        };
        let mut last = Written::default();
        for permit in permits {
            if permit.action().is_bookkeeping() {
                continue;
            }
            let (id, written) = journal.intent(at, name, permit.decision());
            let action = permit.action();
            let (order, tree) = match action {
                Action::End(ending) => (ending.order, ending.tree),
                Action::Do(doing) => (doing.order, 0),
                _ => (0, 0),
            };
            let key = (permit.target(), action.name(), order, tree);
            self.open.entry(key).or_default().push_back(id);
            last = written;
        }
        last
    }

    /// How one of them ended.
    fn ended(&mut self, at: Stamp, target: TargetId, name: &str, outcome: &Outcome) {
        let key = key(target, outcome);
        let Some(ids) = self.open.get_mut(&key) else {
            return;
        };
        let id = ids.pop_front();
        if ids.is_empty() {
            self.open.remove(&key);
        }
        if let (Some(journal), Some(id)) = (&self.journal, id) {
            journal.outcome(&id, at, name, outcome);
        }
    }

    /// Where things are written that are to be known again.
    pub fn journal(&self) -> Option<Journal> {
        self.journal.clone()
    }

    /// All is written, or will never be.
    pub fn close(&mut self) {
        self.journal = None;
        if let Some(pen) = self.pen.take() {
            let _ = pen.join();
        }
    }
}

fn key(target: TargetId, outcome: &Outcome) -> Key {
    let (order, tree) = match (&outcome.ended, &outcome.did) {
        (Some(ended), _) => (ended.ending.order, ended.ending.tree),
        (None, Some(did)) => (did.doing.order, 0),
        (None, None) => (0, 0),
    };
    (target, outcome.action, order, tree)
}

impl Guard {
    /// Journals what is about to be carried out for a target.
    pub(super) fn journal_intents(&mut self, target: TargetId, permits: &[Permit]) -> Written {
        let name = super::named(self.places.get(target)).to_owned();
        self.diary.begun(clock::now(), &name, permits)
    }

    /// Journals how something ended.
    pub(super) fn journal_outcome(&mut self, at: Stamp, target: TargetId, outcome: &Outcome) {
        let name = super::named(self.places.get(target)).to_owned();
        self.diary.ended(at, target, &name, outcome);
    }
}
