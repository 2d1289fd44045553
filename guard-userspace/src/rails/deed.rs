//! What is not done to a target as a whole, whoever wants it.

use super::Refusal;
use crate::config::TargetConfig;
use crate::model::{Deed, Doing, Stamp, Tier};
use crate::state::TargetState;

/// Whether it may be done at all.
///
/// # Errors
/// The target is not there or is no container, something is being done to it already, or the budget of
/// restarts is used up.
pub fn check(
    doing: &Doing,
    tier: Tier,
    state: &TargetState,
    config: &TargetConfig,
    now: Stamp,
) -> Result<(), Refusal> {
    let refused = |why: String| Err(Refusal::new(why));
    let (name, deed) = (&config.name, &doing.deed);
    let needs_docker = !matches!(deed, Deed::Freeze | Deed::Thaw);
    if needs_docker && !config.source.is_container() {
        return refused(format!("{name} is no container: it cannot {}", deed.name()));
    }
    // A container that has ended can be started again: by somebody, or where the guard ended it.
    let is_ours = tier == Tier::Operator || state.deeds().left_down().is_some();
    let may_start = deed.restarts() && is_ours || *deed == Deed::Resume;
    if state.cgroup().is_none() && !may_start {
        return refused(format!("{name} is not there"));
    }
    if let Some(other) = state.deeds().pending()
        && other != doing
    {
        let other = other.deed.name();
        return refused(format!(
            "{other} is under way for {name}: try again when it has ended"
        ));
    }
    if tier == Tier::Operator || !deed.restarts() {
        return Ok(());
    }
    let most = config.restart.max_per_hour;
    let done = state.deeds().restarts_within_hour(now.boot_ns);
    if done >= most {
        return refused(format!(
            "{name} was restarted {done} times within an hour, and {most} (restart.max_per_hour) are \
             the most: an operator must look at it"
        ));
    }
    Ok(())
}
