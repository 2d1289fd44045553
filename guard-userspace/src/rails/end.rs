//! Whose tree is never ended, whoever wants it.

use super::Refusal;
use crate::config::TargetConfig;
use crate::model::evidence::Writer;
use crate::model::kin::TreeKind;
use crate::model::{Ending, Level, Stamp, Tier};
use crate::state::TargetState;
use guard_common::tree::Role;

/// Whether a tree may be ended at all.
///
/// # Errors
/// It is none, it is the spine's or a gateway's, something in it is protected, it is being ended
/// already, it is a guest's that may stay, or so many processes were signalled within a minute.
pub fn check(
    ending: &Ending,
    tier: Tier,
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
) -> Result<(), Refusal> {
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
        TreeKind::Guests if may_end_guests(ending, tier, state) => {}
        TreeKind::Guests => return refused(format!("{ending} came from outside: end it there")),
    }
    let mut members = state.kin().all().filter(|one| one.place.tree() == tree.id);
    let protected = members.find(|one| {
        let line = one.argv.join(" ");
        !matches!(one.place.role(), Role::Member | Role::Guest)
            || config.protect.iter().any(|p| p.is_match(&line))
    });
    if let Some(one) = protected {
        let program = one.argv.join(" ");
        return refused(format!(
            "pid {} in {ending} is protected: {program}",
            one.key.pid
        ));
    }
    if tier != Tier::Operator {
        let most = config.end.max_kills_per_minute;
        let signalled = state.deeds().signalled_within_minute(now.boot_ns);
        if signalled.saturating_add(ending.processes) > most {
            let why = format!(
                "{signalled} processes were signalled within a minute, and {most} \
                 (max_kills_per_minute) are the most: {ending} is let be"
            );
            return refused(why);
        }
    }
    match state.ends().by(tree.id) {
        Some(order) if order != ending.order => refused(format!("{ending} is being ended already")),
        _ => Ok(()),
    }
}

/// What came from outside is ended by itself alone: from critical on where whoever ran it is gone, else
/// in an emergency under pressure.
fn may_end_guests(ending: &Ending, tier: Tier, state: &TargetState) -> bool {
    let Some(seen) = state.watched().tree(ending.tree) else {
        return false;
    };
    let level = state.level();
    let left = seen.evidence.writer == Writer::Gone && level >= Level::Critical;
    let emergency = level >= Level::Emergency && state.pressed_ns().is_some();
    tier != Tier::Operator && (left || emergency)
}
