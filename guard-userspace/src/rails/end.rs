//! Whose tree is never ended, whoever wants it.

use super::Refusal;
use crate::config::TargetConfig;
use crate::model::Ending;
use crate::model::kin::TreeKind;
use crate::state::TargetState;
use guard_common::tree::Role;

/// Whether a tree may be ended at all.
///
/// # Errors
/// It is none, it is the spine's, a gateway's or a guest's, something in it is protected, or it is
/// being ended already.
pub fn check(ending: &Ending, state: &TargetState, config: &TargetConfig) -> Result<(), Refusal> {
    let refused = |why: String| Err(Refusal::new(why));
    if let Some((pid, place)) = ending.named {
        let what = match place.role() {
            Role::Member => None,
            Role::Wrapper => Some("is of the container's spine: without it the container ends"),
            Role::Gateway => Some("is a gateway: without it all servers end"),
            Role::Guest => Some("came from outside (docker exec, a health check): end it there"),
            Role::Nobody => Some("was born over a limit and ends by itself"),
        };
        if let Some(what) = what {
            return refused(format!("pid {pid} {what}"));
        }
    }
    let tree = state
        .trees()
        .all()
        .iter()
        .find(|tree| tree.id == ending.tree);
    let Some(tree) = tree.filter(|_| ending.tree != 0) else {
        return refused(format!("{ending} is not there any more"));
    };
    match tree.kind {
        TreeKind::Tree => {}
        TreeKind::Open => return refused(format!("{ending} became a gateway's")),
        TreeKind::Guests => return refused(format!("{ending} came from outside: end it there")),
    }
    let mut members = state.kin().all().filter(|one| one.place.tree() == tree.id);
    let protected = members.find(|one| {
        let line = one.argv.join(" ");
        one.place.role() != Role::Member || config.protect.iter().any(|p| p.is_match(&line))
    });
    if let Some(one) = protected {
        let program = one.argv.join(" ");
        return refused(format!(
            "pid {} in {ending} is protected: {program}",
            one.key.pid
        ));
    }
    match state.ends().by(tree.id) {
        Some(order) if order != ending.order => refused(format!("{ending} is being ended already")),
        _ => Ok(()),
    }
}
