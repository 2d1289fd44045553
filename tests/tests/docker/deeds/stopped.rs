//! A restart that leaves its container stopped.

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::{Container, Docker, Parent};

use crate::journal::{ended, lines};
use crate::protocol::decided;
use crate::scene::{Guard, OnStage, SOON, Stage};

/// By count alone a restart.
const RULES: &str = "name = \"broken\"\ncontainer = \"broken\"\n\
    [target.gate]\nmax_processes = 100\n\
    [target.processes]\nstrict = true\ncount = \"total\"\nwarning = 2\ncritical = 3\nemergency = 4\nnuclear = 6\n\
    [target.tiers]\nnuclear_monitor = { on = false }\nhost_monitor = { on = true }\n\
    startup_preventer = { on = false }\n\
    [target.restart]\nmax_per_hour = 2\nstop_timeout = \"2s\"";

/// Its program is in its own layer, as what an update or `npm install -g` has put there: with one child
/// it serves, until somebody has it explode.
const PROGRAM: &str = "trap 'exit 0' TERM; sleep 600 & \
    while ! test -e /explode; do sleep 0.1; done; \
    : > /entry; for i in 1 2 3 4 5 6 7; do sleep 600 & done; wait";

/// What a container wrote over its own program makes a restart fail: it is made anew of its image at once,
/// runs again, and both are counted against the budget.
pub fn made_anew() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let docker = &stage.docker;
    let image = Image::with(stage, PROGRAM)?;
    let parent = Parent::new("broken")?;
    let guard = Guard::start(docker, RULES, &[])?;
    let one = Container::run(docker, &parent, "broken", &[image.name, "sh", "/entry"])?;
    let explode = |one: &Container| one.exec(&["sh", "-c", ": > /explode"]).map(drop);
    explode(&one)?;
    eventually("it is made anew", SOON, || {
        Ok(find(docker)?.is_some_and(|id| id != one.id()))
    })
    .with_context(|| guard.agent.last_words())?;
    let found = find(docker)?.context("it is gone")?;
    let new = Container::adopt(docker, &found, "broken");
    eventually("all of it is journalled", SOON, || {
        Ok(ended(&lines(&guard)?, "recreate").is_some())
    })?;
    ensure!(new.runs()?, "it does not run: {}", guard.agent.last_words());
    let journal = lines(&guard)?;
    let restart = ended(&journal, "restart").context("no restart")?;
    ensure!(
        restart["done"] == false && restart.to_string().contains("it ended at once"),
        "{restart}"
    );
    let recreate = ended(&journal, "recreate").context("not made anew")?;
    ensure!(recreate["done"] == true, "{recreate}");
    same("restarts", decided(&guard, "restart").len(), 1)?;
    same("made anew", decided(&guard, "recreate").len(), 1)?;
    let budget = guard.target()?["restarts_last_hour"].clone();
    same("the budget", budget.as_u64(), Some(2))?;
    guard.agent.stop_cleanly().map(drop)
}

/// Who has its name, and runs.
fn find(docker: &Docker) -> Result<Option<String>> {
    let running = ["ps", "-q", "--no-trunc", "--filter", "name=^/broken$"];
    let id = docker.output(&running)?;
    Ok(Some(id.trim().to_owned()).filter(|id| !id.is_empty()))
}

/// An image of this test's own, with a program.
struct Image<'a> {
    docker: &'a Docker,
    name: &'static str,
}

impl<'a> Image<'a> {
    fn with(stage: &'a Stage, program: &str) -> Result<Self> {
        let docker = &stage.docker;
        let name = "guard-broken:1";
        let id = docker.output(&["create", &stage.image, "true"])?;
        let made = Container::adopt(docker, &id, "image");
        made.give("/", &[("entry", program)])?;
        docker.output(&["commit", made.id(), name])?;
        Ok(Self { docker, name })
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        let _ = self.docker.output(&["rmi", "-f", self.name]);
    }
}
