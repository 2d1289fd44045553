//! The limits a target should have.

use super::start;
use crate::config::checked::STARTUP_WINDOW;
use crate::config::{Cap, DenyErrno, Mode, Rung, TargetConfig};
use crate::model::input::SpawnErrno;
use crate::model::{Action, Reason, Stamp};
use crate::state::TargetState;
use crate::state::target::Proof;
use guard_common::{GateLimits, GateMode, TargetKind};

const SECOND_NS: u64 = 1_000_000_000;

/// The decision to put the wanted limits in force, where they are not and nothing is under way.
///
/// It does not wait for the target to appear: a container that is armed before its first process
/// must find its limits there. Before the canary ran there is no mode, and nothing is wanted.
#[must_use]
pub fn decide(
    state: &TargetState,
    config: &TargetConfig,
    mode: Mode,
    now: Stamp,
) -> Option<(Reason, Action)> {
    let wanted = limits(state, config, mode_for(state.proof()?, config, mode), now);
    let reason = match state.in_force() {
        Some(limits) if *limits == wanted => return None,
        Some(limits) if limits.mode != wanted.mode => Reason::ModeChanged,
        Some(limits) if limits.max_processes > wanted.max_processes && state.tight().is_some() => {
            Reason::Emergency
        }
        Some(limits) if limits.max_processes != wanted.max_processes => {
            if was_tight(limits.max_processes, state, config, now) {
                Reason::Calm
            } else {
                Reason::AutoCap
            }
        }
        Some(_) => Reason::Started,
        None => Reason::New,
    };
    let action = Action::Gate(wanted);
    state
        .attempt()
        .allows(&action, now.boot_ns)
        .then_some((reason, action))
}

/// Whether this cap was that of an emergency, which is over.
fn was_tight(cap: u64, state: &TargetState, config: &TargetConfig, now: Stamp) -> bool {
    let is_fixed = config.gate.max_processes != Cap::Auto || state.auto_cap().is_some();
    state.tight().is_none() && is_fixed && cap < start::cap(state, config, now)
}

/// The mode for a target: what the canary left us with, where the config allows it. Where it does
/// not, `kill`, which stands behind every mode and so needs no proof of its own, if it may be used.
#[must_use]
pub fn mode_for(proof: &Proof, config: &TargetConfig, mode: Mode) -> GateMode {
    let rung = match (mode, proof.mode) {
        (Mode::Observe, _) | (_, GateMode::Observe) => return GateMode::Observe,
        (Mode::Enforce, GateMode::Lsm) => Rung::Lsm,
        (Mode::Enforce, GateMode::FmodRet) => Rung::FmodRet,
        (Mode::Enforce, GateMode::Deny) => Rung::Deny,
        (Mode::Enforce, GateMode::Kill) => Rung::Kill,
    };
    let modes = &config.gate.modes;
    if modes.contains(&rung) && (rung != Rung::Deny || says_what_it_may(proof, config)) {
        proof.mode
    } else if modes.contains(&Rung::Kill) {
        GateMode::Kill
    } else {
        GateMode::Observe
    }
}

/// Whether a denied exec may say what it says here.
fn says_what_it_may(proof: &Proof, config: &TargetConfig) -> bool {
    config.gate.deny_errno == DenyErrno::Any || proof.errno == Some(SpawnErrno::Eagain)
}

/// A target's config in the kernel's units, as it is now. Only containers have a start-up window: of
/// a cgroup nobody says when it starts.
#[must_use]
pub fn limits(
    state: &TargetState,
    config: &TargetConfig,
    mode: GateMode,
    now: Stamp,
) -> GateLimits {
    let cap = start::cap(state, config, now);
    let max_processes = state.tight().map_or(cap, |tight| tight.min(cap));
    let starting = start::is_on(state, now) || state.cgroup().is_none();
    of_config(config, mode, max_processes, starting)
}

/// What a target's slot has until the canary has spoken: it counts, by what the target is, and
/// refuses nothing.
#[must_use]
pub fn counting(config: &TargetConfig) -> GateLimits {
    let max_processes = config.gate.max_processes.processes();
    of_config(config, GateMode::Observe, max_processes, true)
}

fn of_config(
    config: &TargetConfig,
    mode: GateMode,
    max_processes: u64,
    starting: bool,
) -> GateLimits {
    let gate = &config.gate;
    let is_container = config.source.is_container();
    let starts = is_container && starting;
    let kind = if is_container {
        TargetKind::Container
    } else {
        TargetKind::Cgroup
    };
    let window_ns = u64::try_from(STARTUP_WINDOW.as_nanos()).unwrap_or(u64::MAX);
    let startup = |value: u64| if starts { value } else { 0 };
    GateLimits {
        max_processes,
        token_ns: token_ns(gate.spawn_rate),
        burst: gate.spawn_burst,
        startup_token_ns: startup(token_ns(gate.startup_rate)),
        startup_burst: startup(gate.startup_burst),
        startup_ns: startup(window_ns),
        reserve: gate.reserve,
        tree_processes: gate.tree.processes,
        tree_spawns: gate.tree.spawns,
        guest_processes: gate.guest_processes,
        newborn_max: gate.newborn_max,
        mode: mode as u32,
        kind: kind as u32,
    }
}

/// Nanoseconds per spawn at `per_second`, at least 1; a rate of 0 cannot be configured.
fn token_ns(per_second: u64) -> u64 {
    SECOND_NS.checked_div(per_second).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Profile, TargetSource};

    #[test]
    fn a_target_has_the_proved_mode_or_kill_or_none() {
        let check = |proved, errno, modes: &[Rung], deny_errno, expected| {
            let source = TargetSource::Container("one".to_owned());
            let mut config = TargetConfig::of(source, Profile::Generic);
            config.gate.modes = modes.to_vec();
            config.gate.deny_errno = deny_errno;
            let proof = Proof {
                mode: proved,
                proved: true,
                errno,
            };
            let seen = mode_for(&proof, &config, Mode::Enforce);
            assert_eq!(seen, expected, "{proof:?} {modes:?} {deny_errno:?}");
            assert_eq!(mode_for(&proof, &config, Mode::Observe), GateMode::Observe);
        };
        use DenyErrno::{Any, Eagain};
        use GateMode::{Deny, Kill, Lsm, Observe};
        let (again, perm) = (Some(SpawnErrno::Eagain), Some(SpawnErrno::Eperm));
        check(Lsm, again, &Rung::ALL, Eagain, Lsm);
        check(Deny, again, &Rung::ALL, Eagain, Deny);
        check(Deny, perm, &Rung::ALL, Any, Deny);
        check(Deny, perm, &Rung::ALL, Eagain, Kill);
        check(Deny, perm, &[Rung::Deny], Eagain, Observe);
        check(Deny, again, &[Rung::Kill], Eagain, Kill);
        check(Lsm, again, &[Rung::Deny, Rung::Kill], Eagain, Kill);
        check(Kill, None, &[Rung::Lsm, Rung::Deny], Any, Observe);
        check(Observe, None, &Rung::ALL, Any, Observe);
    }
}
