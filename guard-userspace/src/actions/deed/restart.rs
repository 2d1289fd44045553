//! Stops a container, so gently as it lets itself be, and starts it.

use super::Scene;
use super::begun::Begun;
use super::daemon::{Daemon, SOON, Trouble};
use super::resume;
use super::steps::Steps;
use crate::model::deed::Left;
use bollard::models::ContainerState;
use bollard::query_parameters::StopContainerOptionsBuilder;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Docker's own margin beyond the time that a container has to stop: it kills it then, and waits.
const MARGIN: Duration = Duration::from_secs(10);

/// A container that was stopped is started, however long Docker is away: up to this.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same where the agent itself ends.
const HURRY: Duration = Duration::from_secs(10);

/// Between two tries to start it.
const PAUSE: Duration = Duration::from_millis(500);

/// What ends so soon after its start did not start.
const STANDS: Duration = Duration::from_millis(300);

/// Restarts it.
pub fn restart(daemon: &Daemon, container: &str, stop_s: u64, scene: &Scene, steps: &mut Steps) {
    if !resume::first(daemon, scene, steps) {
        return;
    }
    let found = match daemon.inspect(container) {
        Ok(found) => found,
        Err(trouble) => return steps.failed("stop", "", trouble.to_string()),
    };
    let before = found.state.unwrap_or_default();
    // Who wants it restarted wants it to run.
    Begun::now(container, &found.name.unwrap_or_default(), true).note(scene);
    match stop(daemon, container, stop_s, &before, steps) {
        // It may have been stopped, and must not stay so.
        Ok(()) | Err(Trouble::Lost(_)) => start(
            daemon,
            container,
            before.started_at.as_deref(),
            scene,
            steps,
        ),
        Err(_) => {}
    }
    if !steps.is_half() {
        scene.begun.keep(&None);
    }
}

/// Stops it. An error is a failed step already, but where Docker was lost: what became of it is known
/// when it is there again.
///
/// # Errors
/// It was not stopped, or nobody knows.
pub fn stop(
    daemon: &Daemon,
    container: &str,
    stop_s: u64,
    before: &ContainerState,
    steps: &mut Steps,
) -> Result<(), Trouble> {
    if before.running != Some(true) {
        steps.done("stop", "it did not run");
        return Ok(());
    }
    let seconds = i32::try_from(stop_s).unwrap_or(i32::MAX);
    let options = StopContainerOptionsBuilder::new().t(seconds).build();
    let within = Duration::from_secs(stop_s).saturating_add(MARGIN);
    let began = Instant::now();
    let stopped = daemon.ask(within, async |docker| {
        docker.stop_container(container, Some(options)).await
    });
    let took = took(began);
    match &stopped {
        Ok(()) => {
            let code = daemon
                .state(container)
                .ok()
                .and_then(|state| state.exit_code);
            let code = code.map_or_else(String::new, |code| format!(", exit code {code}"));
            steps.is(
                "stop",
                format!("within {stop_s} s"),
                format!("ended {took}{code}"),
            );
        }
        Err(Trouble::Lost(why)) => {
            let words = format!("{why}; whether it was stopped is seen at its start");
            steps.short("stop", format!("within {stop_s} s"), words);
        }
        Err(trouble) => steps.failed("stop", format!("within {stop_s} s"), trouble.to_string()),
    }
    stopped
}

/// Starts it, and sees that it runs. `before`: when it was started before, so that one that was never
/// stopped is told from one that was.
pub fn start(
    daemon: &Daemon,
    container: &str,
    before: Option<&str>,
    scene: &Scene,
    steps: &mut Steps,
) {
    let began = Instant::now();
    match patiently(scene, || start_once(daemon, container)) {
        Ok(state) if state.running == Some(true) && state.started_at.as_deref() != before => {
            let pid = state.pid.unwrap_or(0);
            steps.done("start", format!("runs {}, pid {pid}", took(began)));
        }
        Ok(state) if state.running == Some(true) => {
            let words = "Docker was lost before it stopped anything: it runs as before";
            steps.failed("start", "", words);
        }
        Ok(state) => {
            steps.left(Left::Down);
            steps.failed("start", "", ended(&state));
        }
        Err(trouble @ Trouble::Lost(_)) => {
            let words = format!(
                "{trouble}; it may be stopped now: it is started when Docker is back (or by `docker start \
                 {container}`)"
            );
            steps.left(Left::Half);
            steps.failed("start", "", words);
        }
        Err(trouble) => {
            if !matches!(trouble, Trouble::Absent(_)) {
                steps.left(Left::Down);
            }
            steps.failed("start", "", format!("{trouble}; it is stopped"));
        }
    }
}

/// Tries again while Docker cannot be asked, but not for ever.
///
/// # Errors
/// The last one.
pub fn patiently<T>(
    scene: &Scene,
    mut ask: impl FnMut() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let began = Instant::now();
    loop {
        let patience = if scene.hurry.is_on() { HURRY } else { PATIENCE };
        match ask() {
            Err(Trouble::Lost(_)) if began.elapsed() < patience => sleep(PAUSE),
            other => return other,
        }
    }
}

/// Starts one; says that it runs, or why it does not.
///
/// # Errors
/// Docker's.
pub fn started(daemon: &Daemon, container: &str) -> Result<Result<String, String>, Trouble> {
    let began = Instant::now();
    let state = start_once(daemon, container)?;
    Ok(if state.running == Some(true) {
        let pid = state.pid.unwrap_or(0);
        Ok(format!("runs {}, pid {pid}", took(began)))
    } else {
        Err(ended(&state))
    })
}

/// How one that was started ended.
fn ended(state: &ContainerState) -> String {
    let code = state.exit_code.unwrap_or(-1);
    let error = state.error.as_deref().filter(|error| !error.is_empty());
    let error = error.map_or_else(String::new, |error| format!(": {error}"));
    format!("it ended at once, exit code {code}{error}")
}

/// Starts it (one that runs is left as it is) and says how it is a moment later.
fn start_once(daemon: &Daemon, container: &str) -> Result<ContainerState, Trouble> {
    daemon.ask(3 * SOON, async |docker| {
        docker.start_container(container, None).await
    })?;
    sleep(STANDS);
    daemon.state(container)
}

/// How long it took.
fn took(began: Instant) -> String {
    format!("after {:.1} s", began.elapsed().as_secs_f64())
}
