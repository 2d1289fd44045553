//! The agent's watch alone against the real dockerd: what it says, in which order, and in time.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use guard_tests::check::same;
use guard_tests::docker::{Container, Docker, Parent};
use guard_tests::place;
use guard_userspace::config::TargetSource;
use guard_userspace::targets::{Endpoint, Event, Found, Wanted, Watch};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::Receiver;

use crate::scene::{OnStage, SOON};

/// What is said of one wanted container.
struct Listener {
    runtime: Runtime,
    events: Receiver<Event>,
}

impl Listener {
    fn of(docker: &Docker, source: TargetSource) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let wanted = vec![Wanted {
            name: "wanted".to_owned(),
            source,
        }];
        let endpoint = Endpoint::parse(docker.host())?;
        let mount = place::cgroup_root()?;
        let events = runtime.block_on(async { Watch::spawn(wanted, endpoint, mount) });
        Ok(Self { runtime, events })
    }

    /// What is said next of the container. That Docker was too busy to answer is another matter:
    /// what is true of the container must be said in order then, too.
    fn next(&mut self) -> Result<Event> {
        loop {
            match self.any()? {
                Event::DockerLost { why } => eprintln!("(Docker is busy: {why})"),
                Event::DockerBack => {}
                event => return Ok(event),
            }
        }
    }

    fn any(&mut self) -> Result<Event> {
        let next = async { tokio::time::timeout(SOON, self.events.recv()).await };
        self.runtime
            .block_on(next)
            .context("nothing was said in time")?
            .context("the watch ended")
    }

    fn expected(&mut self) -> Result<String> {
        match self.next()? {
            Event::Expected { container, .. } => Ok(container),
            other => bail!("not expected but {other:?}"),
        }
    }

    fn appeared(&mut self) -> Result<Found> {
        match self.next()? {
            Event::Appeared { found, .. } => Ok(found),
            other => bail!("not appeared but {other:?}"),
        }
    }

    fn gone(&mut self) -> Result<String> {
        match self.next()? {
            Event::Gone { why, .. } => Ok(why),
            other => bail!("not gone but {other:?}"),
        }
    }

    fn waiting(&mut self) -> Result<()> {
        match self.next()? {
            Event::Waiting { .. } => Ok(()),
            other => bail!("not waiting but {other:?}"),
        }
    }
}

const SLEEP: [&str; 3] = ["sh", "-c", "sleep 600"];

pub fn says_all_in_order() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("watch")?;
    let command = [&[stage.image.as_str()], SLEEP.as_slice()].concat();
    let by_name = TargetSource::Container("watched".to_owned());
    let mut listener = Listener::of(&stage.docker, by_name)?;
    listener.waiting()?;

    let first = Container::create(&stage.docker, &parent, "watched", &command)?;
    same("expected", listener.expected()?.as_str(), first.id())?;
    first.start()?;
    let found = listener.appeared()?;
    same("cgroup", &found.cgroup_dir, &first.cgroup(&parent)?)?;
    same("init", found.init, Some(first.pid()?))?;
    ensure!(found.started_boot_ns > 0, "when did it start? {found:?}");

    first.tell(&["restart", "-t", "0"])?;
    listener.gone()?;
    // A restart that is quicker than the question that its end makes us ask is one step.
    let again = match listener.next()? {
        Event::Expected { .. } => listener.appeared()?,
        Event::Appeared { found, .. } => found,
        other => bail!("not restarted but {other:?}"),
    };
    ensure!(again.init != found.init, "another init after the restart");

    stage.docker.output(&["rename", "watched", "other"])?;
    let why = listener.gone()?;
    ensure!(why.contains("other"), "what its name is now: {why}");
    listener.waiting()?;
    stage.docker.output(&["rename", "other", "watched"])?;
    same(
        "back under its name",
        listener.appeared()?.container.as_deref(),
        Some(first.id()),
    )?;

    drop(first);
    listener.gone()?;
    // Stopped, then removed: both are said where there was time between them.
    match listener.next()? {
        Event::Expected { .. } => {
            listener.gone()?;
            listener.waiting()?;
        }
        Event::Waiting { .. } => {}
        other => bail!("not removed but {other:?}"),
    }
    let second = Container::create(&stage.docker, &parent, "watched", &command)?;
    same("the new one", listener.expected()?.as_str(), second.id())?;

    let by_id = TargetSource::Container(second.id().chars().take(12).collect());
    let mut by_id = Listener::of(&stage.docker, by_id)?;
    same(
        "by the beginning of its id",
        by_id.expected()?.as_str(),
        second.id(),
    )
}

/// `docker run` leaves little time between creation and start: the container must be expected
/// before the runtime makes its cgroup, each time.
pub fn expects_in_time() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("intime")?;
    let by_label = TargetSource::Label("guard-suite=in-time".to_owned());
    let mut listener = Listener::of(&stage.docker, by_label)?;
    listener.waiting()?;
    for round in 0..5 {
        let name = format!("in-time-{round}");
        let place = parent.docker_path();
        let options = [
            "run",
            "-d",
            "--name",
            &name,
            "--cgroup-parent",
            &place,
            "--network",
            "host",
        ];
        let rest = ["--label", "guard-suite=in-time", &stage.image];
        let mut run = stage
            .docker
            .command(60, &[&options, rest.as_slice(), SLEEP.as_slice()].concat());
        let mut child = run.stdout(std::process::Stdio::null()).spawn()?;
        let id = listener.expected()?;
        let cgroup = place::cgroup_root()?
            .join(place.trim_start_matches('/'))
            .join(&id);
        let in_time = !cgroup.exists();
        let container = Container::adopt(&stage.docker, &id, &name);
        ensure!(child.wait()?.success(), "docker run failed");
        ensure!(
            in_time,
            "round {round}: its cgroup was there before it was expected"
        );
        listener.appeared()?;
        drop(container);
        while !matches!(listener.next()?, Event::Waiting { .. }) {}
    }
    Ok(())
}

pub fn survives_dockerd() -> Result<()> {
    let mut on_stage = OnStage::enter()?;
    let stage = on_stage.get()?;
    let parent = Parent::new("dockerd")?;
    let command = [&[stage.image.as_str()], SLEEP.as_slice()].concat();
    let container = Container::run(&stage.docker, &parent, "survivor", &command)?;
    let by_name = TargetSource::Container("survivor".to_owned());
    let mut listener = Listener::of(&stage.docker, by_name)?;
    listener.appeared()?;
    stage.daemon.kill()?;
    let Event::DockerLost { .. } = listener.any()? else {
        bail!("the loss was not said")
    };
    let silence =
        async { tokio::time::timeout(Duration::from_secs(2), listener.events.recv()).await };
    ensure!(
        listener.runtime.block_on(silence).is_err(),
        "said once, and nothing let go"
    );
    stage.daemon.start_again()?;
    // It ends the containers that it finds running, as it does without live-restore.
    listener.gone()?;
    listener.expected()?;
    let Event::DockerBack = listener.any()? else {
        bail!("not back")
    };
    container.start()?;
    listener.appeared().map(drop)
}
