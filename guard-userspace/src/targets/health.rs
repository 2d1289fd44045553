//! What a container's own health check says.

use super::Endpoint;
use super::transport::{Budget, client};
use crate::model::Health;
use bollard::models::{ContainerState, HealthStatusEnum};
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for an answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Most bytes of one: it carries the last five results, of 4 KiB each.
const ANSWER: u64 = 8 << 20;

/// Asks Docker. Where it cannot be asked nothing is known.
pub async fn of(endpoint: &Endpoint, container: &str) -> Health {
    let Ok(docker) = client(endpoint, &Budget::new(ANSWER), WITHIN) else {
        return Health::Unknown;
    };
    match timeout(WITHIN, docker.inspect_container(container, None)).await {
        Ok(Ok(found)) => said(&found.state.unwrap_or_default()),
        Ok(Err(_)) | Err(_) => Health::Unknown,
    }
}

fn said(state: &ContainerState) -> Health {
    let status = state.health.as_ref().and_then(|health| health.status);
    match status {
        // What it said last is not what it would say now.
        _ if state.running != Some(true) => Health::Unknown,
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        _ => Health::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_has_a_health() {
        let state = |running, status| ContainerState {
            running: Some(running),
            health: Some(bollard::models::Health {
                status: Some(status),
                ..Default::default()
            }),
            ..ContainerState::default()
        };
        assert_eq!(
            said(&state(true, HealthStatusEnum::HEALTHY)),
            Health::Healthy
        );
        assert_eq!(
            said(&state(true, HealthStatusEnum::UNHEALTHY)),
            Health::Unhealthy
        );
        assert_eq!(
            said(&state(true, HealthStatusEnum::STARTING)),
            Health::Starting
        );
        assert_eq!(said(&state(true, HealthStatusEnum::NONE)), Health::Unknown);
        assert_eq!(
            said(&state(false, HealthStatusEnum::HEALTHY)),
            Health::Unknown
        );
        assert_eq!(said(&ContainerState::default()), Health::Unknown);
    }
}
