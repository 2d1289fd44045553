//! Docker's own limits: set by Docker, so that it knows them, and read back from Docker and from the
//! cgroup. What the daemon cannot do is said, and the rest is done.

use super::daemon::{Daemon, SOON, Trouble};
use super::steps::Steps;
use super::{Scene, nofile};
use crate::evidence::controls::{Controls, Limit};
use crate::evidence::memory::Accounts;
use crate::model::deed::DockerLimits;
use bollard::models::{ContainerUpdateBody, HostConfig};
use std::fs;
use std::path::Path;

/// Share of the memory limit from which on the kernel slows the container down and takes back what it
/// can, instead of ending a process of it.
const HIGH_PERCENT: u64 = 90;

/// What is set of a container in one call: Docker takes all of it or nothing.
struct Part {
    /// Its name, for showing.
    name: &'static str,
    body: ContainerUpdateBody,
}

/// Puts the limits in force.
pub fn all(
    daemon: &Daemon,
    container: &str,
    limits: &DockerLimits,
    scene: &Scene,
    steps: &mut Steps,
) {
    let Some(dir) = scene.dir.as_deref() else {
        return steps.failed("limit", "", "the container does not run");
    };
    let now = Accounts::find(&scene.v2_mount).read(dir);
    let used = now.map_or(0, |memory| memory.bytes.saturating_sub(memory.reclaimable));
    let limits = within_reason(limits, used, steps);
    let before = match daemon.inspect(container) {
        Ok(found) => found.host_config.and_then(|config| config.memory_swap),
        Err(trouble) => return steps.failed("limit", "", trouble.to_string()),
    };
    for part in parts(&limits, before.unwrap_or(0)) {
        let Part { name, body } = part;
        let set = daemon.ask(SOON, async |docker| {
            docker.update_container(container, body).await
        });
        match set {
            Ok(()) => {}
            Err(Trouble::Refused(why)) => steps.failed(name, "", why),
            Err(trouble) => return steps.failed(name, "", trouble.to_string()),
        }
    }
    match daemon.inspect(container) {
        Ok(found) => {
            let config = found.host_config.unwrap_or_default();
            read_back(
                &limits,
                &config,
                &Controls::find(&scene.v2_mount),
                dir,
                steps,
            );
        }
        Err(trouble) => steps.failed("read back", "", trouble.to_string()),
    }
    if let Some(memory) = limits.memory {
        high(dir, memory, steps);
    }
    if let Some(limit) = limits.nofile {
        nofile::set(dir, &scene.v2_mount, limit, steps);
    }
}

/// Less memory than is in use would end a process of the container at once (v2) or fail (v1): it is
/// not set, nor what goes with it.
fn within_reason(limits: &DockerLimits, used: u64, steps: &mut Steps) -> DockerLimits {
    let mut limits = *limits;
    if let Some(memory) = limits.memory.filter(|memory| *memory <= used) {
        let why =
            format!("not set: {used} bytes are in use, and processes would be ended for them");
        steps.failed("memory", memory, why);
        if let Some(swap) = limits.memory_swap {
            steps.short("memory_swap", swap, "not set, as memory was not");
        }
        limits.memory = None;
        limits.memory_swap = None;
    }
    limits
}

/// What swap is set to beside the memory. Where none is wanted, Docker refuses memory above the swap limit
/// that it knows, and knows none as 0 or, where that was asked for, as -1: none stays none, and one that is
/// too low is raised.
fn swap_beside(limits: &DockerLimits, before: i64) -> Option<i64> {
    let number = |value: u64| i64::try_from(value).ok();
    match (limits.memory.and_then(number), limits.memory_swap) {
        (_, Some(swap)) => number(swap),
        (Some(_), None) if before <= 0 => Some(-1),
        (Some(memory), None) if (0..memory).contains(&before) => Some(memory),
        _ => None,
    }
}

fn parts(limits: &DockerLimits, swap_before: i64) -> Vec<Part> {
    let number = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    let mut parts = Vec::new();
    if limits.memory.is_some()
        || limits.memory_swap.is_some()
        || limits.memory_reservation.is_some()
    {
        parts.push(Part {
            name: "memory",
            body: ContainerUpdateBody {
                memory: number(limits.memory),
                memory_swap: swap_beside(limits, swap_before),
                memory_reservation: number(limits.memory_reservation),
                ..Default::default()
            },
        });
    }
    if limits.nano_cpus.is_some() {
        parts.push(Part {
            name: "cpus",
            body: ContainerUpdateBody {
                nano_cpus: number(limits.nano_cpus),
                ..Default::default()
            },
        });
    }
    if limits.pids.is_some() {
        parts.push(Part {
            name: "pids",
            body: ContainerUpdateBody {
                pids_limit: number(limits.pids),
                ..Default::default()
            },
        });
    }
    parts
}

/// A step for each value: what Docker says, and what the cgroup does.
fn read_back(
    limits: &DockerLimits,
    config: &HostConfig,
    controls: &Controls,
    dir: &Path,
    steps: &mut Steps,
) {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
    let mut compare =
        |what: &str, wanted: Option<u64>, docker: Option<i64>, found: Limit, unit: u64| {
            let Some(wanted) = wanted else { return };
            let docker = docker.and_then(|value| u64::try_from(value).ok());
            let said = docker.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
            let words = format!("Docker says {said}, the cgroup {}", found.in_words());
            // The kernel counts memory in pages.
            let same = |value: u64| value.abs_diff(wanted) < unit;
            match found {
                Limit::Is(value) if same(value) && docker.is_some_and(same) => {
                    steps.is(what, wanted, words);
                }
                // The daemon or the kernel has no such control, and nothing can be done about it here.
                Limit::Absent => steps.short(what, wanted, words),
                _ => steps.failed(what, wanted, words),
            }
        };
    compare(
        "memory",
        limits.memory,
        config.memory,
        controls.memory(dir),
        page,
    );
    compare(
        "memory_reservation",
        limits.memory_reservation,
        config.memory_reservation,
        controls.reservation(dir),
        page,
    );
    let swap = controls.memory_and_swap(dir);
    compare(
        "memory_swap",
        limits.memory_swap,
        config.memory_swap,
        swap,
        page,
    );
    // A quota is in whole microseconds of a period of 100 ms.
    let cpus = controls.cpus(dir);
    compare("cpus", limits.nano_cpus, config.nano_cpus, cpus, 10_000);
    compare(
        "pids",
        limits.pids,
        config.pids_limit,
        controls.tasks(dir),
        1,
    );
}

/// Docker has no word for memory.high, and an update of it leaves it as it is.
fn high(dir: &Path, memory: u64, steps: &mut Steps) {
    let file = dir.join("memory.high");
    if !file.exists() {
        // v1, or v2 without the controller.
        return;
    }
    let wanted = memory / 100 * HIGH_PERCENT;
    let written = fs::write(&file, wanted.to_string());
    let found = fs::read_to_string(&file).unwrap_or_default();
    let found = found.trim();
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
    let same = found
        .parse::<u64>()
        .is_ok_and(|value| value.abs_diff(wanted) < page);
    match written {
        Ok(()) if same => steps.is("memory.high", wanted, found),
        Ok(()) => steps.failed("memory.high", wanted, found),
        Err(error) => steps.failed("memory.high", wanted, format!("{error}; it is {found}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OutcomeKind;
    use crate::model::deed::{Deed, Doing};

    fn outcome(steps: Steps) -> (Vec<(String, bool)>, bool) {
        let deed = Deed::Limit(DockerLimits::default());
        let outcome = steps.outcome(Doing { order: 1, deed });
        let did = outcome.did.unwrap();
        let said = did.steps.into_iter().map(|step| (step.what, step.ok));
        (said.collect(), outcome.kind == OutcomeKind::Done)
    }

    #[test]
    fn no_limit_is_set_below_what_is_in_use() {
        let limits = DockerLimits {
            memory: Some(1_000),
            memory_swap: Some(2_000),
            pids: Some(512),
            ..DockerLimits::default()
        };
        let mut steps = Steps::default();
        assert_eq!(within_reason(&limits, 999, &mut steps), limits);
        let kept = within_reason(&limits, 1_000, &mut steps);
        assert_eq!(
            (kept.memory, kept.memory_swap, kept.pids),
            (None, None, Some(512))
        );
        let (said, done) = outcome(steps);
        assert_eq!(said.len(), 2);
        assert!(!done);
    }

    #[test]
    fn memory_is_set_whatever_swap_was() {
        let check = |memory, swap, before, expected| {
            let limits = DockerLimits {
                memory,
                memory_swap: swap,
                ..DockerLimits::default()
            };
            assert_eq!(
                swap_beside(&limits, before),
                expected,
                "{limits} after {before}"
            );
        };
        check(Some(100), Some(200), 0, Some(200));
        check(Some(100), None, 0, Some(-1));
        // As the guard itself has left it.
        check(Some(100), None, -1, Some(-1));
        check(Some(100), None, 50, Some(100));
        check(Some(100), None, 300, None);
        check(None, None, 0, None);
    }

    #[test]
    fn what_is_not_accounted_for_is_said_and_no_failure() {
        let limits = DockerLimits {
            memory_swap: Some(4_096),
            pids: Some(7),
            ..DockerLimits::default()
        };
        let check = |pids: i64, expected: bool| {
            let config = HostConfig {
                pids_limit: Some(pids),
                ..HostConfig::default()
            };
            let root = std::env::temp_dir().join(format!("guard-limit-{}", std::process::id()));
            let dir = root.join("guard-limit-a");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("pids.max"), "7\n").unwrap();
            let mut steps = Steps::default();
            let controls = Controls::find(&root);
            read_back(&limits, &config, &controls, &dir, &mut steps);
            let (said, done) = outcome(steps);
            let swap = ("memory_swap".to_owned(), false);
            assert_eq!(said, [swap, ("pids".to_owned(), expected)]);
            assert_eq!(done, expected, "{pids}");
            fs::remove_dir_all(&root).unwrap();
        };
        check(7, true);
        check(0, false);
    }
}
