//! Brings to an end what was begun of a restart or a recreation: by an agent that was killed in the middle
//! of it, or until Docker was lost.
//!
//! The container runs again under its name, be it the old one or, where that runs already, the new one.
//! Containers are known by the ids that were noted before; one that somebody else has renamed, or made
//! in its place, is left alone and said.

use super::Scene;
use super::begun::Begun;
use super::daemon::{Daemon, Trouble};
use super::recreate::{dispose, short, was_started};
use super::restart::{patiently, started};
use super::steps::Steps;
use crate::model::deed::Left;
use bollard::models::{ContainerInspectResponse, RestartPolicyNameEnum};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What was begun longer ago is not resumed: people have seen to it, or want it as it is.
const LATEST: Duration = Duration::from_secs(3_600);

/// Compose may go on without the agent: for so long it is waited for.
const COMPOSE: Duration = Duration::from_secs(20);

/// Brings it to an end.
pub fn resume(daemon: &Daemon, scene: &Scene, steps: &mut Steps) {
    let Some(begun) = scene.begun.kept().flatten() else {
        return steps.done("resume", "nothing is left half done");
    };
    if begun.age() > LATEST {
        scene.begun.keep(&None);
        let words = format!(
            "a restart of {} was begun {} minutes ago and not brought to an end; it is left as it is \
             now",
            begun.name,
            begun.age().as_secs() / 60
        );
        return steps.short("resume", "", words);
    }
    let ended = Resume {
        daemon,
        begun: &begun,
    }
    .run(steps);
    match ended {
        Ok(()) => scene.begun.keep(&None),
        Err(Stop::Said) => {
            scene.begun.keep(&None);
        }
        Err(Stop::Trouble(trouble @ Trouble::Lost(_))) => {
            steps.left(Left::Half);
            let words = format!("{trouble}; it is tried again");
            steps.failed("resume", &begun.name, words);
        }
        Err(Stop::Trouble(trouble)) => {
            scene.begun.keep(&None);
            steps.failed("resume", &begun.name, trouble.to_string());
        }
    }
}

/// What was left half done before comes first. False: it could not be brought to an end, which is said.
pub fn first(daemon: &Daemon, scene: &Scene, steps: &mut Steps) -> bool {
    if scene.begun.kept().flatten().is_none() {
        return true;
    }
    let mut before = Steps::default();
    resume(daemon, scene, &mut before);
    let is_half = before.is_half();
    match before.failure() {
        Some(why) if is_half => {
            steps.left(Left::Half);
            steps.failed("resume", "", why);
        }
        Some(why) => steps.short("resume", "", why),
        None => steps.done("resume", "what was left half done is brought to an end"),
    }
    !is_half
}

/// Compose has failed in the middle of it: the container runs again under its name.
pub fn back(daemon: &Daemon, scene: &Scene, begun: &Begun, steps: &mut Steps) {
    let resume = Resume { daemon, begun };
    let ended = match patiently(scene, || resume.look(&begun.container)) {
        Ok(_) => resume.at_once(steps),
        Err(trouble) => Err(trouble.into()),
    };
    match ended {
        Ok(()) => steps.done("back", "it runs"),
        Err(Stop::Said) => {}
        Err(Stop::Trouble(trouble)) => {
            steps.left(match trouble {
                Trouble::Lost(_) => Left::Half,
                _ => Left::Down,
            });
            steps.failed("back", "it runs", trouble.to_string());
        }
    }
}

/// Why it does not go on.
enum Stop {
    /// Docker's word.
    Trouble(Trouble),
    /// A step says it.
    Said,
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

struct Resume<'a> {
    daemon: &'a Daemon,
    begun: &'a Begun,
}

impl Resume<'_> {
    fn run(&self, steps: &mut Steps) -> Result<(), Stop> {
        if self.begun.by_compose {
            self.wait_for_compose()?;
        }
        self.at_once(steps)
    }

    fn at_once(&self, steps: &mut Steps) -> Result<(), Stop> {
        let begun = self.begun;
        let Some(old) = self.look(&begun.container)? else {
            return self.without_old(steps);
        };
        let named = name(&old);
        if named != begun.name {
            if !begun.is_set_aside(named) {
                let words = format!(
                    "{} is called {named} by now, and not by the guard: it is left alone",
                    short(&begun.container)
                );
                steps.failed("rename", &begun.name, words);
                return Err(Stop::Said);
            }
            if self.has_successor(&old, steps)? {
                return Ok(());
            }
            self.daemon.rename(&begun.container, &begun.name)?;
            steps.done("rename", format!("{named} is {} again", begun.name));
        }
        self.clear_beside(steps)?;
        if !begun.ran || runs(&old) {
            let words = if runs(&old) {
                "it runs"
            } else {
                "it did not run before"
            };
            steps.done("start", words);
            return Ok(());
        }
        self.start(&begun.container, "the old one", steps)
    }

    fn start(&self, container: &str, which: &str, steps: &mut Steps) -> Result<(), Stop> {
        let why = match started(self.daemon, container) {
            Ok(Ok(runs)) => {
                steps.done("start", format!("{which} {runs}"));
                return Ok(());
            }
            Ok(Err(why)) => why,
            Err(trouble @ Trouble::Lost(_)) => return Err(trouble.into()),
            Err(trouble) => trouble.to_string(),
        };
        steps.left(Left::Down);
        steps.failed(
            "start",
            format!("{which} runs"),
            format!("{why}; it is stopped"),
        );
        Err(Stop::Said)
    }

    /// Whether a new one has its place and runs; then the old one goes. One that was never started, or that
    /// the guard made, does not stand in the old one's way.
    fn has_successor(
        &self,
        old: &ContainerInspectResponse,
        steps: &mut Steps,
    ) -> Result<bool, Stop> {
        let begun = self.begun;
        let Some(new) = self.look(&begun.name)? else {
            return Ok(false);
        };
        let id = new.id.clone().unwrap_or_default();
        if runs(&new) {
            steps.done("start", format!("the new one runs: {}", short(&id)));
            if runs(old) && !starts_always(old) {
                let words = format!("{} runs too: it is left alone", name(old));
                steps.failed("remove", "", words);
                return Err(Stop::Said);
            }
            dispose(self.daemon, &begun.container)?;
            steps.done("remove", format!("{} is removed", name(old)));
            return Ok(true);
        }
        if begun.new.as_ref() != Some(&id) && was_started(&new) {
            let words = format!(
                "another container has its name and does not run: start it, or remove it and `docker \
                 rename {} {}`",
                short(&begun.container),
                begun.name
            );
            steps.failed("rename", &begun.name, words);
            return Err(Stop::Said);
        }
        self.daemon.remove(&id, false)?;
        steps.done(
            "remove",
            format!("{}, which did not run, is removed", short(&id)),
        );
        Ok(false)
    }

    /// The old one is no more. One that Docker itself removes at its end (--rm) is made again; one that
    /// somebody removed is not.
    fn without_old(&self, steps: &mut Steps) -> Result<(), Stop> {
        let begun = self.begun;
        let new = match &begun.new {
            Some(new) => self.look(new)?,
            None if begun.by_compose => self.look(&begun.name)?,
            None => None,
        };
        let Some(new) = new else {
            self.clear_beside(steps)?;
            steps.done("resume", "the container is gone, and nothing of it is left");
            return Ok(());
        };
        let id = new.id.clone().unwrap_or_default();
        if runs(&new) {
            steps.done("start", format!("the new one runs: {}", short(&id)));
            return Ok(());
        }
        let host = new.host_config.as_ref();
        let is_made_again = host.and_then(|host| host.auto_remove) == Some(true);
        if begun.by_compose || is_made_again {
            if name(&new) != begun.name {
                self.daemon.rename(&id, &begun.name)?;
            }
            return self.start(&id, "the new one", steps);
        }
        self.daemon.remove(&id, false)?;
        let words = "the container was removed meanwhile, and is not made again";
        steps.done("remove", words);
        Ok(())
    }

    /// The new one, where it was never started: an agent may have been killed before it noted it.
    fn clear_beside(&self, steps: &mut Steps) -> Result<(), Stop> {
        let beside = self.begun.beside();
        let Some(found) = self.look(&beside)? else {
            return Ok(());
        };
        if was_started(&found) {
            let words = format!("there is a container {beside} that was started: it is left alone");
            steps.short("remove", beside, words);
            return Ok(());
        }
        self.daemon.remove(&found.id.unwrap_or_default(), false)?;
        steps.done("remove", format!("{beside}, never started, is removed"));
        Ok(())
    }

    /// Until a new one runs in the old one's place, but not for long.
    fn wait_for_compose(&self) -> Result<(), Trouble> {
        let began = Instant::now();
        loop {
            let now = self.look(&self.begun.name)?;
            let is_new =
                now.is_some_and(|now| runs(&now) && now.id.as_ref() != Some(&self.begun.container));
            let only_renamed = self
                .look(&self.begun.container)?
                .is_some_and(|old| runs(&old));
            if is_new || only_renamed || began.elapsed() > COMPOSE {
                return Ok(());
            }
            sleep(Duration::from_millis(500));
        }
    }

    fn look(&self, container: &str) -> Result<Option<ContainerInspectResponse>, Trouble> {
        match self.daemon.inspect(container) {
            // Docker takes the beginning of an id too.
            Ok(found) => {
                let is_it = name(&found) == container || found.id.as_deref() == Some(container);
                Ok(Some(found).filter(|_| is_it))
            }
            Err(Trouble::Absent(_)) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }
}

fn name(found: &ContainerInspectResponse) -> &str {
    let name = found.name.as_deref().unwrap_or_default();
    name.trim_start_matches('/')
}

/// A dockerd that was killed starts it again, whoever had stopped it.
fn starts_always(found: &ContainerInspectResponse) -> bool {
    let host = found.host_config.as_ref();
    let policy = host.and_then(|host| host.restart_policy.as_ref());
    policy.and_then(|policy| policy.name) == Some(RestartPolicyNameEnum::ALWAYS)
}

fn runs(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().and_then(|state| state.running) == Some(true)
}
