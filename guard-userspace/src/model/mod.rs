//! The types that flow between the rooms: data and names, no logic.
//!
//! event → [`Input`] → state → policy → [`Decision`] → rails → permit → action → [`Outcome`], and of
//! all that is said, a [`Fact`].

pub mod action;
pub mod deed;
#[cfg(test)]
pub mod dice;
pub mod evidence;
pub mod fact;
pub mod input;
pub mod kin;
pub mod level;
pub mod order;
pub mod stamp;
pub mod status;
pub mod target;
pub mod verdict;
pub mod whole;

pub use action::{Action, Decision, Outcome, OutcomeKind, Placed, Reason, Tier, limits_in_words};
pub use deed::{Deed, Did, Doing};
pub use evidence::{Evidence, Ground, Health};
pub use fact::{Fact, FactKind};
pub use input::{Input, InputKind};
pub use level::Level;
pub use order::{Ended, Ending, How, Order, Ordered};
pub use stamp::Stamp;
pub use status::Status;
pub use target::{CgroupId, ProcessKey, TargetId};
pub use verdict::Verdict;
