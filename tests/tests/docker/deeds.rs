//! What is done to a container as a whole, against the real dockerd: the rails' permit is carried out
//! as the agent does it, and what became of it is looked at from outside. A neighbour is left alone.

#[path = "deeds/anew.rs"]
pub mod anew;
#[path = "deeds/killed.rs"]
pub mod killed;
#[path = "deeds/lost.rs"]
pub mod lost;
#[path = "deeds/ordered.rs"]
pub mod ordered;
#[path = "deeds/removed.rs"]
pub mod removed;
#[path = "deeds/spared.rs"]
pub mod spared;
#[path = "deeds/stopped.rs"]
pub mod stopped;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::{Container, Parent};
use guard_tests::place;
use guard_userspace::actions::deed::{self, Memo, Scene};
use guard_userspace::actions::end::Hurry;
use guard_userspace::config::{Mode, Profile, TargetConfig, TargetSource};
use guard_userspace::guardian::thawer::Thawer;
use guard_userspace::model::deed::{DockerLimits, Step};
use guard_userspace::model::{
    Action, CgroupId, Decision, Deed, Doing, Input, InputKind, Outcome, OutcomeKind, Reason, Stamp,
    TargetId, Tier,
};
use guard_userspace::rails;
use guard_userspace::state::TargetState;
use guard_userspace::targets::Endpoint;

use crate::scene::{OnStage, Stage};

/// Longest that any of these deeds takes.
const LIMIT: Duration = Duration::from_secs(100);

/// A container that ends at SIGTERM, with a child.
const SCRIPT: &str = "trap 'exit 0' TERM; sleep 600 & while :; do sleep 0.1; done";

/// A container, its parent, and its neighbour.
struct Pair {
    parent: Parent,
    one: Container,
    neighbour: Container,
    neighbours_pid: u32,
}

impl Pair {
    fn start(stage: &Stage, name: &str, options: &[&str]) -> Result<Self> {
        let parent = Parent::new(name)?;
        let command = [options, &[stage.image.as_str(), "sh", "-c", SCRIPT]].concat();
        let one = Container::run(&stage.docker, &parent, name, &command)?;
        let beside = format!("{name}-neighbour");
        let command = [stage.image.as_str(), "sh", "-c", SCRIPT];
        let neighbour = Container::run(&stage.docker, &parent, &beside, &command)?;
        let neighbours_pid = neighbour.pid()?;
        Ok(Self {
            parent,
            one,
            neighbour,
            neighbours_pid,
        })
    }

    fn scene(&self, stage: &Stage) -> Result<Scene> {
        scene_of(stage, &self.one, &self.parent)
    }

    /// The neighbour runs on as it did.
    fn is_alone(&self) -> Result<()> {
        same(
            "the neighbour's init",
            self.neighbour.pid()?,
            self.neighbours_pid,
        )?;
        let limits = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}";
        same(
            "the neighbour's limits",
            self.neighbour.inspect(limits)?.as_str(),
            "0 <no value> 0",
        )
    }
}

fn scene_of(stage: &Stage, container: &Container, parent: &Parent) -> Result<Scene> {
    Ok(Scene {
        container: Some(container.id().to_owned()),
        dir: Some(container.cgroup(parent)?),
        v2_mount: place::cgroup_root()?,
        endpoint: Endpoint::parse(stage.docker.host())?,
        compose_dir: None,
        thawer: None,
        is_frozen: false,
        ties: memo(),
        begun: memo(),
        frozen: memo(),
        hurry: Hurry::default(),
    })
}

/// Remembers it for as long as the test.
fn memo<T: Clone + Send + 'static>() -> Memo<T> {
    let kept: Arc<Mutex<Option<T>>> = Arc::default();
    let keeps = Arc::clone(&kept);
    Memo::by(
        move |what: &T| {
            *keeps.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.clone());
        },
        move || kept.lock().unwrap_or_else(PoisonError::into_inner).clone(),
    )
}

/// Has the rails permit a deed by hand, and carries it out.
fn done(deed: Deed, scene: Scene) -> Result<(OutcomeKind, Vec<Step>)> {
    let source = TargetSource::Container("deed".to_owned());
    let config = TargetConfig::of(source, Profile::Metamcp);
    let mut state = TargetState::of(&config);
    let (at, target) = (Stamp::default(), TargetId(0));
    let kind = InputKind::Up {
        cgroup: CgroupId(1),
        path: "/".to_owned(),
        adopted: 0,
        inherited: None,
        from_birth: false,
        started_ns: 0,
    };
    state.apply(&Input { at, target, kind });
    let decision = Decision {
        target,
        tier: Tier::Operator,
        reason: Reason::ByHand,
        action: Action::Do(Doing { order: 1, deed }),
        dry_run: false,
    };
    let permit = rails::check(decision, Mode::Enforce, &state, &config, at);
    let permit = permit.map_err(|refusal| anyhow!("refused: {}", refusal.why))?;
    let (tell, told) = mpsc::channel();
    let tell = move |outcome: Outcome| {
        let _ = tell.send(outcome);
    };
    let thread = deed::begin(permit, scene, || (), tell)?;
    let outcome = told.recv_timeout(LIMIT).context("no outcome in time")?;
    thread
        .join()
        .map_err(|_| anyhow!("the deed's thread panicked"))?;
    let did = outcome.did.context("no steps")?;
    Ok((outcome.kind, did.steps))
}

/// All of it is as it was wanted.
fn all_done(deed: Deed, scene: Scene) -> Result<Vec<Step>> {
    match done(deed, scene)? {
        (OutcomeKind::Done, steps) => Ok(steps),
        (kind, steps) => bail!("{kind:?}: {steps:#?}"),
    }
}

fn step<'a>(steps: &'a [Step], what: &str) -> Result<&'a Step> {
    let found = steps.iter().find(|step| step.what == what);
    found.with_context(|| format!("no step {what}: {steps:#?}"))
}

/// Each value is set, read back from Docker and from the cgroup; what is in use is no limit.
pub fn limits() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let pair = Pair::start(stage, "limited", &[])?;
    let limits = DockerLimits {
        memory: Some(256 << 20),
        memory_reservation: Some(64 << 20),
        memory_swap: Some(256 << 20),
        nano_cpus: Some(1_500_000_000),
        nofile: Some((1_024, 2_048)),
        pids: Some(777),
    };
    let (kind, steps) = done(Deed::Limit(limits), pair.scene(stage)?)?;
    for what in ["memory", "memory_reservation", "cpus", "pids", "nofile"] {
        ensure!(step(&steps, what)?.ok, "{what}: {kind:?} {steps:#?}");
    }
    // Not each kernel accounts for swap, and that alone is no failure.
    step(&steps, "memory_swap")?;
    same("the deed", kind, OutcomeKind::Done)?;
    let field = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}";
    same(
        "Docker's word",
        pair.one.inspect(field)?.as_str(),
        "268435456 777 1500000000",
    )?;
    let own = fs::read_to_string(format!("/proc/{}/limits", pair.one.pid()?))?;
    let open = own.lines().find(|line| line.starts_with("Max open files"));
    let open = open.context("no line")?.split_ascii_whitespace();
    same(
        "its open files",
        open.skip(3).take(2).collect::<Vec<_>>(),
        vec!["1024", "2048"],
    )?;

    // Below what is in use: nothing of it is set, and all of it lives.
    let limits = DockerLimits {
        memory: Some(65_536),
        memory_swap: Some(65_536),
        pids: Some(700),
        ..DockerLimits::default()
    };
    let before = pair.one.pid()?;
    let (kind, steps) = done(Deed::Limit(limits), pair.scene(stage)?)?;
    ensure!(matches!(kind, OutcomeKind::Failed(_)), "{steps:#?}");
    ensure!(
        !step(&steps, "memory")?.ok && step(&steps, "pids")?.ok,
        "{steps:#?}"
    );
    same(
        "Docker's word",
        pair.one.inspect(field)?.as_str(),
        "268435456 700 1500000000",
    )?;
    same("its init", pair.one.pid()?, before)?;
    pair.is_alone()
}

/// Another init, the same container; a container that does not run is started.
pub fn restarts() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let pair = Pair::start(stage, "restarted", &[])?;
    let before = pair.one.pid()?;
    let steps = all_done(Deed::Restart { stop_s: 5 }, pair.scene(stage)?)?;
    ensure!(
        step(&steps, "stop")?.found.contains("exit code 0"),
        "{steps:#?}"
    );
    ensure!(
        step(&steps, "start")?.ok && pair.one.pid()? != before,
        "{steps:#?}"
    );
    pair.one.tell(&["stop", "-t", "0"])?;
    let steps = all_done(Deed::Restart { stop_s: 5 }, pair.scene(stage)?)?;
    ensure!(pair.one.runs()?, "{steps:#?}");
    pair.is_alone()
}

/// A container that says when it was told to end, and does not.
const STAYS: &str = "trap ': > /told' TERM; while :; do sleep 0.1; done";

/// Without Docker nothing is done, and that is said. Docker ends while it stops a container, and comes
/// back: the container runs in the end. One that was removed is said to be gone.
pub fn docker_goes() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("left")?;
    let command = [stage.image.as_str(), "sh", "-c", STAYS];
    let one = Container::run(&stage.docker, &parent, "left", &command)?;
    let scene = scene_of(stage, &one, &parent)?;
    let init = one.pid()?;
    let told = format!("/proc/{init}/root/told");
    let during = scene.clone();
    let deed = thread::spawn(move || done(Deed::Restart { stop_s: 60 }, during));
    eventually("it is told to end", LIMIT, || Ok(Path::new(&told).exists()))?;
    stage.daemon.kill()?;
    let failed = fails(Deed::Limit(DockerLimits::default()), scene.clone());
    stage.daemon.start_again()?;
    let failed = failed?;
    ensure!(failed.contains("Docker cannot be asked"), "{failed}");
    let (kind, steps) = deed.join().map_err(|_| anyhow!("a panic"))??;
    // Docker may have ended it when it came back, or found it running.
    ensure!(one.runs()?, "{kind:?} {steps:#?}");
    let again = one.pid()? != init;
    same(
        "restarted, and said to be",
        kind == OutcomeKind::Done,
        again,
    )?;
    one.tell(&["rm", "-f"])?;
    let why = fails(Deed::Restart { stop_s: 1 }, scene)?;
    ensure!(why.contains("No such container"), "{why}");
    Ok(())
}

/// Why a deed that cannot be done was not.
fn fails(deed: Deed, scene: Scene) -> Result<String> {
    match done(deed, scene)? {
        (OutcomeKind::Failed(why), _) => Ok(why),
        (kind, steps) => bail!("{kind:?}: {steps:#?}"),
    }
}

/// What its loop has counted.
fn counted(container: &Container) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{}/root/count", container.pid()?));
    Ok(text.unwrap_or_default().trim().parse().unwrap_or(0))
}

/// Counts as long as it is not stopped.
const COUNTS: &str =
    "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.02; done";

/// Whether it stands still.
fn stands(one: &Container) -> Result<bool> {
    let before = counted(one)?;
    thread::sleep(Duration::from_millis(300));
    Ok(counted(one)? == before)
}

fn goes_on(one: &Container) -> Result<()> {
    let before = counted(one)?;
    eventually("it goes on", LIMIT, || Ok(counted(one)? > before))
}

/// A frozen container stands still, and goes on when it is thawed, or when whoever froze it is gone,
/// however that came. Without somebody who would thaw it then it is not frozen.
pub fn freezes() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("frozen")?;
    let command = [stage.image.as_str(), "sh", "-c", COUNTS];
    let one = Container::run(&stage.docker, &parent, "frozen", &command)?;
    let mut scene = scene_of(stage, &one, &parent)?;
    let why = fails(Deed::Freeze, scene.clone())?;
    ensure!(why.contains("nobody would thaw it"), "{why}");
    eventually("it counts", LIMIT, || Ok(counted(&one)? > 0))?;
    let program = place::program("GUARD_AGENT", "metamcp-guard")?;
    let thawer = Thawer::start(&program)?;
    scene.thawer = thawer.pipe();
    all_done(Deed::Freeze, scene.clone())?;
    ensure!(stands(&one)?, "it runs on while it is frozen");
    all_done(Deed::Thaw, scene.clone())?;
    goes_on(&one)?;
    all_done(Deed::Freeze, scene.clone())?;
    ensure!(stands(&one)?, "it runs on while it is frozen");
    // The kernel closes a process's pipe when it ends.
    scene.thawer = None;
    drop(thawer);
    goes_on(&one)
}
