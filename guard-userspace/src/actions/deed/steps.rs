//! What was done of a deed, step by step, and whether all of it is as it was wanted.

use crate::model::deed::{Left, Step};
use crate::model::{Did, Doing, Outcome, OutcomeKind};

/// The steps of one deed.
#[derive(Debug, Default)]
pub struct Steps {
    all: Vec<Step>,
    failures: Vec<String>,
    left: Left,
}

impl Steps {
    /// A step went as it should.
    pub fn done(&mut self, what: &str, found: impl Into<String>) {
        self.push(what, "", found.into(), true);
    }

    /// A value is what it should be.
    pub fn is(&mut self, what: &str, wanted: impl ToString, found: impl Into<String>) {
        self.push(what, &wanted.to_string(), found.into(), true);
    }

    /// It is not as it was wanted, and the deed is no failure by that.
    pub fn short(&mut self, what: &str, wanted: impl ToString, found: impl Into<String>) {
        self.push(what, &wanted.to_string(), found.into(), false);
    }

    /// It is not as it was wanted, and so the deed has failed.
    pub fn failed(&mut self, what: &str, wanted: impl ToString, found: impl Into<String>) {
        let found = found.into();
        self.failures.push(format!("{what}: {found}"));
        self.push(what, &wanted.to_string(), found, false);
    }

    fn push(&mut self, what: &str, wanted: &str, found: String, ok: bool) {
        self.all.push(Step {
            what: what.to_owned(),
            wanted: wanted.to_owned(),
            found,
            ok,
        });
    }

    /// How it leaves the target; as it was, or is to be, where nothing is said.
    pub fn left(&mut self, left: Left) {
        self.left = left;
    }

    /// It is left half done.
    #[must_use]
    pub fn is_half(&self) -> bool {
        self.left == Left::Half
    }

    /// Why it has failed, in words.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.has_failed().then(|| self.failures.join("; "))
    }

    /// Whether any has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// What became of the deed.
    #[must_use]
    pub fn outcome(self, doing: Doing) -> Outcome {
        let kind = if self.failures.is_empty() {
            OutcomeKind::Done
        } else {
            OutcomeKind::Failed(self.failures.join("; "))
        };
        let mut outcome = Outcome::of(doing.deed.name(), kind);
        let (steps, left) = (self.all, self.left);
        outcome.did = Some(Box::new(Did { doing, steps, left }));
        outcome
    }
}
