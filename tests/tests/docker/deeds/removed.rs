//! A container that somebody removes, or renames, in the middle of what is done to it.

use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use guard_tests::check::same;
use guard_tests::docker::door::{Door, When};
use guard_tests::docker::{Container, Parent};
use guard_userspace::actions::deed::{Begun, Scene};
use guard_userspace::model::{Deed, OutcomeKind};
use guard_userspace::targets::Endpoint;

use super::{LIMIT, SCRIPT, done, fails, scene_of};
use crate::scene::{OnStage, Stage};

/// Removed while it is made anew, at each of these requests: it is not made again, nothing of it is
/// left, and that is said.
const AT: [&str; 4] = [
    "/create",
    "/stop",
    "/rename?name=removed-guard-old",
    "/rename?name=removed HTTP",
];

pub fn while_made_anew() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let door = Door::open(&stage.docker)?;
    for at in AT {
        removed(stage, &door, at).context(at)?;
    }
    left_alone(stage)
}

fn removed(stage: &Stage, door: &Door, at: &str) -> Result<()> {
    let parent = Parent::new("removed")?;
    let command = [stage.image.as_str(), "sh", "-c", SCRIPT];
    let one = Container::run(&stage.docker, &parent, "removed", &command)?;
    let endpoint = Endpoint::parse(&door.host())?;
    let scene = Scene {
        endpoint,
        ..scene_of(stage, &one, &parent)?
    };
    let begun = scene.begun.clone();
    let held = door.hold(at, When::Before);
    let thread = thread::spawn(move || done(Deed::Recreate { stop_s: 5 }, scene));
    held.wait(LIMIT)?;
    one.tell(&["rm", "-f"])?;
    drop(held);
    let (kind, steps) = thread.join().map_err(|_| anyhow!("a panic"))??;
    let left = stage
        .docker
        .output(&["ps", "-a", "--format", "{{.Names}} {{.State}}"])?;
    if at == "/rename?name=removed HTTP" {
        // Its end was over: the new one is made, and nobody has said that it is not wanted.
        same("what is left", left.as_str(), "removed running")?;
        let new = stage
            .docker
            .output(&["inspect", "--format", "{{.Id}}", "removed"])?;
        drop(Container::adopt(&stage.docker, &new, "removed"));
        return same("the deed", kind, OutcomeKind::Done);
    }
    same("what is left", left.as_str(), "").with_context(|| format!("{steps:#?}"))?;
    ensure!(matches!(kind, OutcomeKind::Failed(_)), "{steps:#?}");
    let is_said = steps
        .iter()
        .any(|step| step.found.contains("is not made again"));
    ensure!(is_said, "{steps:#?}");
    same("what is left to do", begun.kept().flatten(), None)
}

/// What was left half done is not resumed where somebody has renamed it since, nor after an hour.
fn left_alone(stage: &Stage) -> Result<()> {
    let parent = Parent::new("renamed")?;
    let command = [stage.image.as_str(), "sh", "-c", SCRIPT];
    let one = Container::create(&stage.docker, &parent, "renamed", &command)?;
    let scene = scene_of(stage, &one, &parent)?;
    let begun = Begun::now(one.id(), "before", true);
    scene.begun.keep(&Some(begun.clone()));
    let why = fails(Deed::Resume, scene.clone())?;
    ensure!(why.contains("is called renamed by now"), "{why}");
    let at_ms = begun.at_ms - 2 * 3_600_000;
    let name = "renamed".to_owned();
    scene.begun.keep(&Some(Begun {
        at_ms,
        name,
        ..begun
    }));
    let (kind, steps) = done(Deed::Resume, scene.clone())?;
    same("the deed", kind, OutcomeKind::Done)?;
    let is_said = steps
        .iter()
        .any(|step| step.found.contains("begun 120 minutes ago"));
    ensure!(is_said, "{steps:#?}");
    ensure!(!one.runs()?, "it was started");
    // Its names are somebody's own: nothing is stopped for want of them.
    let taken = [
        "create",
        "--name",
        "renamed-guard-old",
        &stage.image,
        "true",
    ];
    let taken = Container::adopt(&stage.docker, &stage.docker.output(&taken)?, "taken");
    one.start()?;
    let before = one.pid()?;
    let why = fails(Deed::Recreate { stop_s: 1 }, scene)?;
    ensure!(
        why.contains("there is a container renamed-guard-old"),
        "{why}"
    );
    same("its init", one.pid()?, before)?;
    same(
        "the other one",
        taken.inspect("{{.State.Status}}")?.as_str(),
        "created",
    )
}
