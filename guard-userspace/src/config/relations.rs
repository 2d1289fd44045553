//! What values must be to each other.

use super::checked::{AUTO_LEAST_PROCESSES, Profile, TargetConfig};
use super::docker_limits;
use super::error::Problem;
use super::gate::{Cap, GateConfig};
use super::overlay::Overlay;
use core::net::SocketAddr;
use core::ops::Range;

/// Processes of a container's spine at the least: its init.
const LEAST_SPINE: u64 = 1;

/// Finds contradictions within a target.
pub(super) fn check(on: &mut Overlay<'_>, target: &TargetConfig) {
    cap(on, target);
    bursts(on, &target.gate);
    idle(on, target);
    levels(on, target);
    memory(on, target);
    docker_limits::check(on, target);
}

fn cap(on: &mut Overlay<'_>, target: &TargetConfig) {
    let gate = &target.gate;
    let cap = match gate.max_processes {
        Cap::Count(count) => count,
        Cap::Auto if target.profile == Profile::Metamcp => AUTO_LEAST_PROCESSES,
        Cap::Auto => {
            let cause = "`max_processes` = \"auto\" is of profile metamcp: how much memory a \
                         process needs is known for MCP servers only";
            let fix = "write a number, or profile = \"metamcp\"";
            return on.conflict(&["max_processes"], Problem::new(cause, fix));
        }
    };
    let (reserve, tree) = (gate.reserve, gate.tree.processes);
    let least = reserve.saturating_add(tree).saturating_add(LEAST_SPINE);
    // A single process of a generic target needs no spine beside it.
    let needed = if tree > 1 { least } else { reserve + tree };
    if cap < needed {
        let shown = if gate.max_processes == Cap::Auto {
            " (the least \"auto\" can come to)"
        } else {
            ""
        };
        let cause = format!(
            "no server could ever start: of `max_processes` = {cap}{shown} {reserve} are `reserve`, \
             {LEAST_SPINE} is the container's init, and one server needs `tree.processes` = {tree}"
        );
        let fix = format!("write max_processes = {needed} or more, or a smaller reserve or tree");
        on.conflict(
            &["max_processes", "reserve", "tree.processes"],
            Problem::new(cause, fix),
        );
    }
    if gate.may_wait() && reserve < tree {
        let cause = format!(
            "`reserve` = {reserve} is below `tree.processes` = {tree}: a server whose wait is over \
             boots once more to end cleanly, and does that in the reserve"
        );
        let fix =
            format!("write reserve = {tree} or more, or parked_max = 0 so that nothing waits");
        on.conflict(&["reserve", "tree.processes"], Problem::new(cause, fix));
    }
}

fn bursts(on: &mut Overlay<'_>, gate: &GateConfig) {
    let spawns = gate.tree.spawns;
    for (key, burst) in [
        ("spawn_burst", gate.spawn_burst),
        ("startup_burst", gate.startup_burst),
    ] {
        if burst < spawns {
            let cause = format!(
                "no server could ever start: it takes `tree.spawns` = {spawns} tokens at once, and \
                 `{key}` = {burst} is all there ever are"
            );
            let fix = format!("write {key} = {spawns} or more");
            on.conflict(&[key, "tree.spawns"], Problem::new(cause, fix));
        }
    }
}

fn idle(on: &mut Overlay<'_>, target: &TargetConfig) {
    let idle = &target.idle_after;
    if idle.calm < idle.pressure || idle.pressure < idle.lasting {
        let cause = "`idle_after` grows with pressure: trees would be spared longest when room is \
                     shortest";
        let fix = "write calm the longest, lasting the shortest";
        let keys = [
            "idle_after.calm",
            "idle_after.pressure",
            "idle_after.lasting",
        ];
        on.conflict(&keys, Problem::new(cause, fix));
    }
}

fn levels(on: &mut Overlay<'_>, target: &TargetConfig) {
    let Some(levels) = &target.processes else {
        return;
    };
    rising(
        on,
        &[
            ("warning", levels.warning),
            ("critical", levels.critical),
            ("emergency", levels.emergency),
            ("nuclear", levels.nuclear),
        ],
    );
}

fn memory(on: &mut Overlay<'_>, target: &TargetConfig) {
    let Some(memory) = &target.memory else { return };
    rising(
        on,
        &[
            ("memory.warning", u64::from(memory.warning.0)),
            ("memory.critical", u64::from(memory.critical.0)),
            ("memory.emergency", u64::from(memory.emergency.0)),
        ],
    );
    if memory.restart_over.0 == 0 {
        let cause = "`memory.restart_over` is 0: the container would be restarted for ever";
        let fix = "write more than its memory limit, or switch host_monitor off";
        on.conflict(&["memory.restart_over"], Problem::new(cause, fix));
    }
}

/// Each level must begin above the one before.
fn rising(on: &mut Overlay<'_>, levels: &[(&str, u64)]) {
    for pair in levels.windows(2) {
        if let [(lower, low), (higher, high)] = pair
            && low >= high
        {
            let cause = format!("`{higher}` = {high} does not come after `{lower}` = {low}");
            let fix = "levels rise: warning, then critical, then emergency, then nuclear; what the \
                       file leaves out is the profile's";
            on.conflict(&[lower, higher], Problem::new(cause, fix));
        }
    }
}

/// Warns of an address that others can reach.
pub(super) fn listen(on: &mut Overlay<'_>, address: SocketAddr, place: Range<usize>) {
    if !address.ip().is_loopback() {
        let cause = format!(
            "`listen` = \"{address}\" is open to other hosts: whoever reaches it reads process \
             names and counts (acting needs the token)"
        );
        let fix = "write 127.0.0.1 and let a proxy with a login serve it";
        let problem = Problem::new(cause, fix).warning();
        on.problems.push(problem.at(on.source, vec![place]));
    }
}
