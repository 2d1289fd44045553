//! Docker's own limits, as a back-stop far above what the gate lets live.

use super::start;
use crate::config::TargetConfig;
use crate::config::docker_limits::enough_tasks;
use crate::config::units::Bytes;
use crate::model::Stamp;
use crate::model::deed::DockerLimits;
use crate::state::TargetState;

/// The limits of the config in Docker's units; `None`: it has none.
#[must_use]
pub fn of(state: &TargetState, config: &TargetConfig, now: Stamp) -> Option<DockerLimits> {
    let limits = config.limits.as_ref()?;
    let cap = start::cap(state, config, now);
    let tasks = enough_tasks(cap);
    let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0);
    Some(DockerLimits {
        memory: bytes(limits.memory),
        memory_reservation: bytes(limits.memory_reservation),
        memory_swap: bytes(limits.memory_swap),
        nano_cpus: limits.cpus.map(nano),
        nofile: limits.nofile.map(|nofile| (nofile.soft, nofile.hard)),
        pids: Some(limits.pids.unwrap_or(tasks)),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0.01 to 4096, as it was checked"
)]
fn nano(cpus: f64) -> u64 {
    (cpus * 1e9).round() as u64
}
