//! The limits a target should have.

use crate::config::checked::STARTUP_WINDOW;
use crate::config::{Mode, Rung, TargetConfig};
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
    let wanted = limits(config, mode_for(state.proof()?, config, mode));
    let reason = match state.in_force() {
        Some(limits) if *limits == wanted => return None,
        Some(_) => Reason::ModeChanged,
        None => Reason::New,
    };
    let action = Action::Gate(wanted);
    state
        .attempt()
        .allows(&action, now.boot_ns)
        .then_some((reason, action))
}

/// The mode for a target: what the canary left us with, where the config allows it.
#[must_use]
pub fn mode_for(proof: &Proof, config: &TargetConfig, mode: Mode) -> GateMode {
    let rung = match (mode, proof.mode) {
        (Mode::Observe, _) | (_, GateMode::Observe) => return GateMode::Observe,
        (Mode::Enforce, GateMode::Lsm) => Rung::Lsm,
        (Mode::Enforce, GateMode::Kill) => Rung::Kill,
    };
    if config.gate.modes.contains(&rung) {
        proof.mode
    } else {
        GateMode::Observe
    }
}

/// A target's config in the kernel's units. Only containers have a start-up window: of a cgroup
/// nobody says when it starts.
#[must_use]
pub fn limits(config: &TargetConfig, mode: GateMode) -> GateLimits {
    let gate = &config.gate;
    let starts = config.source.is_container();
    let kind = if starts {
        TargetKind::Container
    } else {
        TargetKind::Cgroup
    };
    let window_ns = u64::try_from(STARTUP_WINDOW.as_nanos()).unwrap_or(u64::MAX);
    GateLimits {
        max_processes: gate.max_processes.processes(),
        token_ns: token_ns(gate.spawn_rate),
        burst: gate.spawn_burst,
        startup_token_ns: if starts {
            token_ns(gate.startup_rate)
        } else {
            0
        },
        startup_burst: if starts { gate.startup_burst } else { 0 },
        startup_ns: if starts { window_ns } else { 0 },
        mode: mode as u32,
        reserve: gate.reserve,
        tree_processes: gate.tree.processes,
        tree_spawns: gate.tree.spawns,
        guest_processes: gate.guest_processes,
        kind: kind as u32,
    }
}

/// Nanoseconds per spawn at `per_second`, at least 1; a rate of 0 cannot be configured.
fn token_ns(per_second: u64) -> u64 {
    SECOND_NS.checked_div(per_second).unwrap_or(0).max(1)
}
