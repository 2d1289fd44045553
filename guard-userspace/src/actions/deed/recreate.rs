//! Makes a container anew: through Compose where it is Compose's, else from what Docker says that it
//! is.
//!
//! The new one is made beside the old one, which runs on meanwhile; then the old one is stopped, the
//! names change hands, and the new one starts. The old one is removed when the new one runs. Where the
//! new one does not, the old one gets its name back and runs again: there is never none.

use super::begun::Begun;
use super::daemon::{Daemon, SOON, Trouble};
use super::restart::{patiently, started, stop};
use super::resume;
use super::settings::{self, Settings};
use super::steps::Steps;
use super::{Scene, compose, isolate};
use crate::model::deed::Left;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::CreateContainerOptions;
use std::thread::sleep;
use std::time::Duration;

/// The watch is to hear of the new one's name before its first process, so that it is counted from
/// that on.
const HEARD: Duration = Duration::from_millis(300);

/// Recreates it.
pub fn recreate(daemon: &Daemon, container: &str, stop_s: u64, scene: &Scene, steps: &mut Steps) {
    if !resume::first(daemon, scene, steps) {
        return;
    }
    let found = match daemon.inspect(container) {
        Ok(found) => found,
        Err(trouble) => return steps.failed("inspect", "", trouble.to_string()),
    };
    match compose::of(&found, scene.compose_dir.as_deref()) {
        Ok(plan) => {
            compose::up(&plan, daemon, &found, stop_s, scene, steps);
            return over(scene, steps);
        }
        Err(Some(why)) => steps.short("compose", "", format!("{why}; from Docker's own settings")),
        Err(None) => {}
    }
    anew(daemon, &found, stop_s, scene, steps);
    over(scene, steps);
}

/// What is half done stays noted.
fn over(scene: &Scene, steps: &Steps) {
    if !steps.is_half() {
        scene.begun.keep(&None);
    }
}

/// The container and the names that change hands.
struct Swap<'a> {
    daemon: &'a Daemon,
    scene: &'a Scene,
    old: String,
    name: String,
    /// The old one's, while the new one has its name.
    aside: String,
    /// The new one's, until then.
    beside: String,
}

fn anew(
    daemon: &Daemon,
    found: &ContainerInspectResponse,
    stop_s: u64,
    scene: &Scene,
    steps: &mut Steps,
) {
    let name = found.name.clone().unwrap_or_default();
    let name = name.trim_start_matches('/').to_owned();
    let old = found.id.clone().unwrap_or_default();
    if name.is_empty() || old.is_empty() {
        return steps.failed("inspect", "", "Docker did not say what it is");
    }
    let before = found.state.clone().unwrap_or_default();
    // Who wants it made anew wants it to run.
    let mut begun = Begun::now(&old, &name, true);
    let swap = Swap {
        daemon,
        scene,
        old,
        aside: begun.aside(),
        beside: begun.beside(),
        name,
    };
    if let Err(trouble) = swap.is_free() {
        return steps.failed("create", &swap.name, trouble.to_string());
    }
    let host = found.host_config.as_ref();
    let removes_itself = host.and_then(|host| host.auto_remove) == Some(true);
    begun.note(scene);
    let new = match swap.create(&settings::of(found, &image(daemon, found))) {
        Ok(new) => new,
        Err(trouble) => {
            // It may have been made all the same.
            if matches!(trouble, Trouble::Lost(_))
                && patiently(scene, || swap.clear_beside()).is_err()
            {
                steps.left(Left::Half);
            }
            let words = format!("{trouble}; the container runs as before");
            return steps.failed("create", &swap.name, words);
        }
    };
    steps.done("create", format!("{} made beside it", short(&new)));
    begun.new = Some(new.clone());
    begun.note(scene);
    let stopped = match stop(daemon, &swap.old, stop_s, &before, steps) {
        // What became of it is seen at the next step.
        Ok(()) | Err(Trouble::Lost(_)) => swap.set_aside(removes_itself),
        Err(trouble) => Err(trouble),
    };
    match stopped {
        Ok(()) => {}
        Err(Trouble::Lost(why)) => return swap.go_back(&new, &why, steps),
        Err(trouble) => return swap.give_up(&new, &trouble, steps),
    }
    match swap.take_name(&new).and_then(|()| {
        sleep(HEARD);
        patiently(scene, || started(daemon, &new))
    }) {
        Ok(Ok(runs)) => {
            steps.done("start", format!("the new one {runs}"));
            swap.remove_old(steps);
        }
        Ok(Err(why)) => swap.go_back(&new, &why, steps),
        Err(trouble) => swap.go_back(&new, &trouble.to_string(), steps),
    }
}

/// By its name where that is still the image that the container is of, else by its id.
fn image(daemon: &Daemon, found: &ContainerInspectResponse) -> String {
    let id = found.image.clone().unwrap_or_default();
    let config = found.config.as_ref();
    let name = config
        .and_then(|config| config.image.clone())
        .unwrap_or_default();
    let now = daemon.ask(SOON, async |docker| docker.inspect_image(&name).await);
    match now {
        Ok(now) if now.id.as_deref() == Some(id.as_str()) => name,
        _ if id.is_empty() => name,
        _ => id,
    }
}

impl Swap<'_> {
    /// Makes the new one, under a name of its own, with all its networks.
    fn create(&self, settings: &Settings) -> Result<String, Trouble> {
        let ask = || {
            let options = CreateContainerOptions {
                name: Some(self.beside.clone()),
                ..CreateContainerOptions::default()
            };
            let body = settings.body.clone();
            self.daemon.ask(3 * SOON, async |docker| {
                Ok(docker.create_container(Some(options), body).await?.id)
            })
        };
        self.clear_beside()?;
        let new = ask()?;
        for tie in &settings.others {
            if let Err(trouble) = isolate::connect(self.daemon, &new, tie) {
                self.daemon.remove(&new, true)?;
                return Err(trouble);
            }
        }
        Ok(new)
    }

    /// One that was never started is what an agent has left that was ended in the middle of this.
    fn clear_beside(&self) -> Result<(), Trouble> {
        let found = match self.daemon.inspect(&self.beside) {
            Ok(found) => found,
            Err(Trouble::Absent(_)) => return Ok(()),
            Err(trouble) => return Err(trouble),
        };
        if was_started(&found) {
            let words = format!("there is a container {}: remove or rename it", self.beside);
            return Err(Trouble::Refused(words));
        }
        self.daemon.remove(&found.id.unwrap_or_default(), false)
    }

    /// What has the name that the old one is to get meanwhile would be in the way when it is stopped already.
    fn is_free(&self) -> Result<(), Trouble> {
        match self.daemon.inspect(&self.aside) {
            Err(Trouble::Absent(_)) => Ok(()),
            Err(trouble) => Err(trouble),
            Ok(_) => {
                let words = format!(
                    "there is a container {}: remove or rename it; the container runs as before",
                    self.aside
                );
                Err(Trouble::Refused(words))
            }
        }
    }

    /// One that was started with --rm is removed when it has ended.
    fn set_aside(&self, removes_itself: bool) -> Result<(), Trouble> {
        match patiently(self.scene, || self.rename(&self.old, &self.aside)) {
            Err(Trouble::Absent(_)) if removes_itself => Ok(()),
            other => other,
        }
    }

    fn take_name(&self, new: &str) -> Result<(), Trouble> {
        patiently(self.scene, || self.rename(new, &self.name))
    }

    /// The old one could not be stopped, or somebody has removed it.
    fn give_up(&self, new: &str, trouble: &Trouble, steps: &mut Steps) {
        if !steps.has_failed() {
            steps.failed("rename", &self.aside, trouble.to_string());
        }
        self.remove_new(new, steps);
        if matches!(trouble, Trouble::Absent(_)) {
            let words = "the container was removed meanwhile, and is not made again";
            return steps.done("rename", words);
        }
        // It may have been stopped before it could not be renamed.
        match patiently(self.scene, || started(self.daemon, &self.old)) {
            Ok(Ok(runs)) => steps.done("back", format!("the old one {runs}")),
            Ok(Err(why)) => {
                steps.left(Left::Down);
                steps.failed("back", "the old one runs", why);
            }
            Err(trouble) => {
                steps.left(Left::Half);
                steps.failed("back", "the old one runs", trouble.to_string());
            }
        }
    }

    /// Renames one, if it is not named so already: an answer may have been lost.
    fn rename(&self, container: &str, name: &str) -> Result<(), Trouble> {
        let found = self.daemon.inspect(container)?.name.unwrap_or_default();
        if found.trim_start_matches('/') == name {
            return Ok(());
        }
        self.daemon.rename(container, name)
    }

    fn remove_new(&self, new: &str, steps: &mut Steps) {
        match patiently(self.scene, || self.daemon.remove(new, true)) {
            Ok(()) | Err(Trouble::Absent(_)) => {}
            Err(trouble) => {
                steps.left(Left::Half);
                steps.short("remove", &self.beside, trouble.to_string());
            }
        }
    }

    /// Volumes stay: the new one has them.
    fn remove_old(&self, steps: &mut Steps) {
        match patiently(self.scene, || dispose(self.daemon, &self.old)) {
            Ok(()) => steps.done("remove", "the old one is removed"),
            Err(Trouble::Absent(_)) => steps.done("remove", "the old one was removed at its end"),
            Err(trouble) => {
                let words = format!("{trouble}; it is left, stopped, as {}", self.aside);
                steps.left(Left::Half);
                steps.short("remove", &self.aside, words);
            }
        }
    }

    /// The new one does not run: the old one is what it was.
    fn go_back(&self, new: &str, why: &str, steps: &mut Steps) {
        steps.failed("start", "the new one runs", why);
        let back = patiently(self.scene, || match self.daemon.remove(new, true) {
            Err(Trouble::Absent(_)) | Ok(()) => Ok(()),
            other => other,
        });
        let back = back
            .and_then(|()| patiently(self.scene, || self.rename(&self.old, &self.name)))
            .and_then(|()| patiently(self.scene, || started(self.daemon, &self.old)));
        match back {
            Ok(Ok(runs)) => steps.done("back", format!("the old one {runs}")),
            Ok(Err(why)) => {
                steps.left(Left::Down);
                steps.failed("back", "the old one runs", why);
            }
            Err(trouble) => {
                steps.left(match trouble {
                    Trouble::Lost(_) => Left::Half,
                    _ => Left::Down,
                });
                let Self { old, name, .. } = self;
                let words = format!(
                    "{trouble}; the old one may be stopped: `docker rename {} {name}; docker start \
                     {name}`",
                    short(old)
                );
                steps.failed("back", "the old one runs", words);
            }
        }
    }
}

/// Removes one that was stopped. With the policy `always` a dockerd that was killed meanwhile has started
/// it again.
///
/// # Errors
/// Docker's.
pub fn dispose(daemon: &Daemon, container: &str) -> Result<(), Trouble> {
    if daemon.state(container)?.running == Some(true) {
        daemon.ask(3 * SOON, async |docker| {
            docker.stop_container(container, None).await
        })?;
    }
    daemon.remove(container, false)
}

/// Whether it ever ran.
pub fn was_started(found: &ContainerInspectResponse) -> bool {
    let at = found
        .state
        .as_ref()
        .and_then(|state| state.started_at.as_deref());
    at.is_some_and(|at| !at.is_empty() && !at.starts_with("0001-"))
}

/// So many digits as Docker shows.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
