//! What the suites have in common: trials that are functions, one after the other, and skips that
//! say why.

use anyhow::{Error, Result};
use libtest_mimic::{Arguments, Completion, Trial};

/// A test that cannot run on this machine, whatever is installed on it. The test driver takes it
/// for a failure where the reason does not begin so.
#[derive(Debug)]
pub struct CannotHere(String);

impl std::fmt::Display for CannotHere {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "cannot here: {}", self.0)
    }
}

impl std::error::Error for CannotHere {}

/// The error with which a test says that this machine cannot run it.
#[must_use]
pub fn cannot_here(why: &str) -> Error {
    Error::new(CannotHere(why.to_owned()))
}

/// A test of that name.
#[must_use]
pub fn trial(name: &str, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match test() {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => match error.downcast_ref::<CannotHere>() {
            Some(skipped) => Ok(Completion::ignored_with(skipped.to_string())),
            None => Err(format!("{error:#}").into()),
        },
    })
}

/// Runs the tests one after the other: two storms at once would measure each other.
pub fn run(tests: Vec<Trial>) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    libtest_mimic::run(&arguments, tests).exit()
}
