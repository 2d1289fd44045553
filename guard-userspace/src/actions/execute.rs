//! Carries out one permit.

use crate::kernel::Kernel;
use crate::model::{Action, Outcome, OutcomeKind};
use crate::rails::Permit;

/// Does what is permitted, and says how it ended.
#[must_use]
pub fn execute(permit: Permit, kernel: &mut Kernel) -> Outcome {
    let action = permit.action().name();
    match permit.action() {
        Action::Gate(limits) => {
            let set = kernel.tables.set_limits(permit.target().0, limits);
            Outcome {
                action,
                limits: Some(*limits),
                kind: match set {
                    Ok(()) => OutcomeKind::Done,
                    Err(error) => OutcomeKind::Failed(error.to_string()),
                },
            }
        }
    }
}
