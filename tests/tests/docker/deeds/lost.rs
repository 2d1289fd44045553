//! dockerd is gone in the middle of each deed, at each request that it has: what was begun is brought to an
//! end or taken back, what became of it is said, and one container runs under its name when dockerd is
//! back.

use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::door::{Door, When};
use guard_tests::docker::{Container, Docker, Parent};
use guard_userspace::actions::deed::Scene;
use guard_userspace::model::deed::DockerLimits;
use guard_userspace::model::{Deed, OutcomeKind};
use guard_userspace::targets::Endpoint;

use super::anew::{Composed, Networks};
use super::{LIMIT, SCRIPT, all_done, done, fails, scene_of};
use crate::scene::{OnStage, SOON, Stage};

const RESTART: Deed = Deed::Restart { stop_s: 5 };
const RECREATE: Deed = Deed::Recreate { stop_s: 5 };

/// Where dockerd is lost, and what becomes of the deed.
struct Row {
    deed: Deed,
    /// In the request's first line.
    at: &'static str,
    when: When,
    /// dockerd is killed and starts again, and with it what it finds running; else its answer alone is
    /// lost, and who asks again is answered.
    kill: bool,
    /// All of it is done in the end; else all is as it was.
    done: bool,
}

const fn row(deed: Deed, at: &'static str, when: When, kill: bool, done: bool) -> Row {
    Row {
        deed,
        at,
        when,
        kill,
        done,
    }
}

/// Requests that change something, in their order.
const ROWS: [Row; 10] = [
    row(RESTART, "/start", When::Before, true, true),
    row(RECREATE, "/create", When::Before, false, false),
    row(RECREATE, "/create", When::After, false, false),
    row(RECREATE, "/stop", When::After, false, true),
    row(
        RECREATE,
        "/rename?name=lost-guard-old",
        When::After,
        false,
        true,
    ),
    row(RECREATE, "/rename?name=lost HTTP", When::Before, true, true),
    row(RECREATE, "/rename?name=lost HTTP", When::After, false, true),
    row(RECREATE, "/start", When::After, false, true),
    row(RECREATE, "DELETE ", When::Before, false, true),
    row(RECREATE, "DELETE ", When::After, false, true),
];

/// With dockerd killed where that makes most of a difference.
pub fn in_the_middle() -> Result<()> {
    each(false)
}

/// With dockerd killed everywhere.
pub fn killed_everywhere() -> Result<()> {
    each(true)
}

fn each(kill: bool) -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let door = Door::open(&stage.docker)?;
    for row in &ROWS {
        let Row { at, when, .. } = row;
        let what = format!("{} at {at}, {when:?}", row.deed.name());
        row.run(stage, &door, kill || row.kill).context(what)?;
    }
    Ok(())
}

/// A container that dockerd starts again when it comes back, as it does most services.
fn start(stage: &Stage, parent: &Parent) -> Result<Container> {
    let options = ["--restart", "always"];
    let command = [&options[..], &[&stage.image, "sh", "-c", SCRIPT]].concat();
    Container::run(&stage.docker, parent, "lost", &command)
}

fn through(door: &Door, scene: Scene) -> Result<Scene> {
    let endpoint = Endpoint::parse(&door.host())?;
    Ok(Scene { endpoint, ..scene })
}

/// The id of the one container that there is, whose name is the old one's. It runs.
pub fn only_one(docker: &Docker, name: &str) -> Result<String> {
    let all = "{{.ID}} {{.Names}}";
    let listed = docker.output(&["ps", "-a", "--no-trunc", "--format", all])?;
    let mut words = listed.split_ascii_whitespace();
    let id = words.next().context("no container is left")?.to_owned();
    same("what is left", listed.as_str(), &format!("{id} {name}"))?;
    let inspect = |field| docker.output(&["inspect", "--format", field, &id]);
    eventually("it runs", SOON, || {
        Ok(inspect("{{.State.Running}}")? == "true")
    })
    .with_context(|| inspect("{{json .State}}").unwrap_or_default())?;
    Ok(id)
}

impl Row {
    fn run(&self, stage: &mut Stage, door: &Door, kill: bool) -> Result<()> {
        let parent = Parent::new("lost")?;
        let one = start(stage, &parent)?;
        let began = one.inspect("{{.State.StartedAt}}")?;
        let scene = through(door, scene_of(stage, &one, &parent)?)?;
        let begun = scene.begun.clone();
        let held = door.hold(self.at, self.when);
        let deed = self.deed.clone();
        let thread = thread::spawn(move || done(deed, scene));
        held.wait(LIMIT)?;
        if kill {
            stage.daemon.kill()?;
        }
        held.cut();
        if kill {
            stage.daemon.start_again()?;
        }
        let (kind, steps) = thread.join().map_err(|_| anyhow!("a panic"))??;
        same("done", kind == OutcomeKind::Done, self.done)
            .with_context(|| format!("{kind:?} {steps:#?}"))?;
        let now = only_one(&stage.docker, "lost").with_context(|| format!("{steps:#?}"))?;
        let now = Container::adopt(&stage.docker, &now, "lost");
        let anew = now.id() != one.id();
        same(
            "made anew",
            anew,
            self.done && matches!(self.deed, Deed::Recreate { .. }),
        )?;
        if self.done {
            let again = now.inspect("{{.State.StartedAt}}")? != began;
            same("started again", again, true)?;
        }
        same("what is left to do", begun.kept().flatten(), None)
    }
}

/// Limits are said not to be set, and can be later; networks are remembered before they are taken, and
/// given back later; Compose fails in the middle, and the old container runs again.
pub fn of_others() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let door = Door::open(&stage.docker)?;
    let docker = stage.docker.clone();
    let names = ["guard-lost-a", "guard-lost-b"];
    let _networks = Networks::make(&docker, &names)?;
    let parent = Parent::new("lost")?;
    let place = parent.docker_path();
    let options = ["create", "--name", "lost", "--cgroup-parent", &place];
    let more = ["--restart", "always", "--network", names[0]];
    let command = [&options[..], &more, &[&stage.image, "sh", "-c", SCRIPT]].concat();
    let one = Container::adopt(&docker, &docker.output(&command)?, "lost");
    docker.output(&["network", "connect", "--alias", "db", names[1], one.id()])?;
    one.start()?;
    let networks =
        "{{range $name, $net := .NetworkSettings.Networks}}{{$name}} {{$net.Aliases}};{{end}}";
    let (limit, before) = ("{{.HostConfig.PidsLimit}}", one.inspect(networks)?);

    let deed = Deed::Limit(DockerLimits {
        pids: Some(777),
        ..DockerLimits::default()
    });
    let limits = through(&door, scene_of(stage, &one, &parent)?)?;
    let isolates = through(&door, scene_of(stage, &one, &parent)?)?;
    let at = ("/update", When::Before);
    let why = lost(stage, &door, at, deed.clone(), &limits, Back::Later)?;
    ensure!(why.contains("pids: Docker cannot be asked"), "{why}");
    only_one(&docker, "lost")?;
    ensure!(one.inspect(limit)? != "777", "it was set: {why}");
    all_done(deed, limits)?;
    same("its limit", one.inspect(limit)?.as_str(), "777")?;

    let at = ("/networks/guard-lost-b/disconnect", When::Before);
    let why = lost(stage, &door, at, Deed::Isolate, &isolates, Back::Later)?;
    ensure!(
        why.contains("guard-lost-b: Docker cannot be asked"),
        "{why}"
    );
    only_one(&docker, "lost")?;
    all_done(Deed::Rejoin, isolates)?;
    same("its networks", one.inspect(networks)?, before)?;
    drop(one);

    let compose = Composed::up(stage)?;
    let one = compose.find()?;
    let scene = through(&door, scene_of(stage, &one, &compose.parent)?)?;
    let at = ("/containers/create", When::Before);
    let why = lost(stage, &door, at, RECREATE, &scene, Back::Meanwhile)?;
    ensure!(why.contains("compose up web"), "{why}");
    let now = only_one(&docker, "composed")?;
    same("its id", now.as_str(), one.id())?;
    same("what is left to do", scene.begun.kept().flatten(), None)
}

/// When dockerd is back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Back {
    /// While the deed waits for it.
    Meanwhile,
    /// The deed is over.
    Later,
}

/// dockerd is killed at that request; gives why the deed failed.
fn lost(
    stage: &mut Stage,
    door: &Door,
    (at, when): (&str, When),
    deed: Deed,
    scene: &Scene,
    back: Back,
) -> Result<String> {
    let held = door.hold(at, when);
    let scene = scene.clone();
    let thread = thread::spawn(move || fails(deed, scene));
    held.wait(LIMIT)?;
    stage.daemon.kill()?;
    held.cut();
    if back == Back::Meanwhile {
        stage.daemon.start_again()?;
    }
    let why = thread.join().map_err(|_| anyhow!("a panic"))?;
    if back == Back::Later {
        stage.daemon.start_again()?;
    }
    why
}
