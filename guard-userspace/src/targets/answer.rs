//! What Docker's answers mean for the roster.

use super::Found;
use super::container::{Container, Listed, Standing};
use super::resolve::{self, ResolveError};
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use std::collections::HashMap;
use std::path::Path;

/// `None` where the id is none: what cannot be named cannot be guarded.
pub fn listed(summary: ContainerSummary) -> Option<Listed> {
    let id = summary.id.filter(|id| resolve::is_container_id(id))?;
    let names = summary.names.unwrap_or_default();
    // With links there are more names, of the form /other/alias.
    let name = names
        .iter()
        .map(|name| bare(name))
        .find(|name| !name.contains('/'))
        .unwrap_or_default();
    let running = summary
        .state
        .is_some_and(|state| matches!(state.to_string().as_str(), "running" | "paused"));
    let container = Container {
        id,
        name: name.to_owned(),
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
        standing: Standing::Stopped(None),
    };
    Some(Listed { container, running })
}

/// A container of which its creation was told: the event's attributes are its labels and more.
pub fn from_attributes(id: String, mut attributes: HashMap<String, String>) -> Container {
    let name = attributes.remove("name").unwrap_or_default();
    Container {
        id,
        name: bare(&name).to_owned(),
        labels: attributes.into_iter().collect(),
        standing: Standing::Stopped(None),
    }
}

/// What Docker says of one container, and where its processes are.
///
/// # Errors
/// The answer is about another one: in words.
pub fn inspected(
    id: &str,
    reply: ContainerInspectResponse,
    v2_mount: &Path,
) -> Result<Container, String> {
    if reply.id.as_deref() != Some(id) {
        return Err(format!(
            "asked about container {id}, Docker answered about {:?}",
            reply.id
        ));
    }
    let name = reply.name.unwrap_or_default();
    let labels = reply
        .config
        .and_then(|config| config.labels)
        .unwrap_or_default();
    let state = reply.state.unwrap_or_default();
    let pid = state
        .pid
        .and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid > 0);
    let standing = match pid.filter(|_| state.running == Some(true)) {
        Some(pid) => standing(pid, id, v2_mount),
        None => Standing::Stopped(state.exit_code.filter(|_| state.finished_at.is_some()).map(
            |code| {
                let oom = if state.oom_killed == Some(true) {
                    ", out of memory"
                } else {
                    ""
                };
                format!("container {} stopped (exit code {code}{oom})", bare(&name))
            },
        )),
    };
    Ok(Container {
        id: id.to_owned(),
        name: bare(&name).to_owned(),
        labels: labels.into_iter().collect(),
        standing,
    })
}

/// Where a running container's processes are.
fn standing(pid: u32, id: &str, v2_mount: &Path) -> Standing {
    match resolve::container_cgroup(pid, id, v2_mount) {
        Ok(cgroup_dir) => Standing::Running(Found {
            container: Some(id.to_owned()),
            init: Some(pid),
            cgroup_dir,
            started_boot_ns: resolve::started_boot_ns(pid),
        }),
        // Its end has not reached Docker yet; `die` follows.
        Err(ResolveError::Ended) => Standing::Stopped(None),
        Err(ResolveError::Refused(why)) => Standing::Refused(why),
    }
}

fn bare(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}
