//! A container cut off, given back, and made anew: by Docker's own settings and by Compose.

use std::fs;

use anyhow::{Result, ensure};
use guard_tests::Folder;
use guard_tests::check::same;
use guard_tests::docker::{Container, Docker, Parent, run};
use guard_userspace::model::deed::DockerLimits;
use guard_userspace::model::{Deed, OutcomeKind};

use super::{SCRIPT, all_done, done, fails, scene_of, step};
use crate::scene::{OnStage, Stage};

/// A container is taken from its networks, and given back to them as it was.
pub fn isolates() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let docker = &stage.docker;
    let networks = ["guard-a", "guard-b"];
    let _networks = Networks::make(docker, &networks)?;
    let parent = Parent::new("cut")?;
    let place = parent.docker_path();
    let options = [
        "create",
        "--name",
        "cut",
        "--cgroup-parent",
        &place,
        "--network",
        "guard-a",
    ];
    let options = [
        &options[..],
        &["--network-alias", "web", "--ip", "10.213.1.77"],
    ]
    .concat();
    let id = docker.output(&[&options[..], &[&stage.image, "sh", "-c", SCRIPT]].concat())?;
    let one = Container::adopt(docker, &id, "cut");
    docker.output(&["network", "connect", "--alias", "db", "guard-b", &id])?;
    one.start()?;
    let field = "{{range $name, $net := .NetworkSettings.Networks}}{{$name}} {{$net.Aliases}} \
                 {{$net.IPAMConfig}};{{end}}";
    let before = one.inspect(field)?;
    ensure!(
        before.contains("10.213.1.77") && before.contains("db"),
        "{before}"
    );
    let scene = scene_of(stage, &one, &parent)?;
    let why = fails(Deed::Rejoin, scene.clone())?;
    ensure!(why.contains("not isolated"), "{why}");
    all_done(Deed::Isolate, scene.clone())?;
    same("its networks", one.inspect(field)?.as_str(), "")?;
    all_done(Deed::Rejoin, scene.clone())?;
    same("its networks", one.inspect(field)?, before)?;

    // It is made anew with both, and what it was given by hand.
    all_done(
        Deed::Limit(DockerLimits {
            pids: Some(555),
            ..DockerLimits::default()
        }),
        scene.clone(),
    )?;
    let steps = all_done(Deed::Recreate { stop_s: 5 }, scene)?;
    let new = docker.output(&["inspect", "--format", "{{.Id}}", "cut"])?;
    let new = Container::adopt(docker, &new, "cut");
    ensure!(new.id() != id && new.runs()?, "{steps:#?}");
    let networks = new.inspect(field)?;
    ensure!(
        networks.contains("10.213.1.77") && networks.contains("db"),
        "{networks}"
    );
    same(
        "its limit",
        new.inspect("{{.HostConfig.PidsLimit}}")?.as_str(),
        "555",
    )?;
    let left = docker.output(&["ps", "-aq", "--no-trunc"])?;
    same("what is left", left.as_str(), new.id())
}

/// Networks of one test's own.
pub struct Networks<'a> {
    docker: &'a Docker,
    names: &'a [&'a str],
}

impl<'a> Networks<'a> {
    pub fn make(docker: &'a Docker, names: &'a [&'a str]) -> Result<Self> {
        // What a test that failed has left has the same addresses.
        docker.output(&["network", "prune", "-f"])?;
        let all = Self { docker, names };
        for (number, name) in names.iter().enumerate() {
            let subnet = format!("10.213.{}.0/24", number + 1);
            docker.output(&["network", "create", "--subnet", &subnet, name])?;
        }
        Ok(all)
    }
}

impl Drop for Networks<'_> {
    fn drop(&mut self) {
        for name in self.names {
            let _ = self.docker.output(&["network", "rm", "-f", name]);
        }
    }
}

/// A container that cannot start a second time: the old one runs again.
pub fn comes_back() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let folder = Folder::new()?;
    let file = folder.file("script", &format!("echo once >> /log; {SCRIPT}"))?;
    let bind = format!("{file}:/script:ro");
    let parent = Parent::new("back")?;
    let command = ["-v", &bind, stage.image.as_str(), "sh", "/script"];
    let one = Container::run(&stage.docker, &parent, "back", &command)?;
    let scene = scene_of(stage, &one, &parent)?;
    let steps = all_done(Deed::Recreate { stop_s: 5 }, scene.clone())?;
    let new = stage
        .docker
        .output(&["inspect", "--format", "{{.Id}}", "back"])?;
    let new = Container::adopt(&stage.docker, &new, "back");
    ensure!(new.id() != one.id() && new.runs()?, "{steps:#?}");
    // What it starts is gone: a new container cannot, and neither could the old one, but that it
    // may be tried again is what is looked at.
    let scene = scene_of(stage, &new, &parent)?;
    let script = format!("test -e /first && {{ {SCRIPT}; }}; exit 7");
    fs::write(&file, script)?;
    fs::write(format!("/proc/{}/root/first", new.pid()?), "")?;
    let (kind, steps) = done(Deed::Recreate { stop_s: 5 }, scene)?;
    ensure!(matches!(kind, OutcomeKind::Failed(_)), "{steps:#?}");
    ensure!(step(&steps, "back")?.ok && new.runs()?, "{steps:#?}");
    same("its name", new.inspect("{{.Name}}")?.as_str(), "/back")?;
    let left = stage.docker.output(&["ps", "-aq", "--no-trunc"])?;
    same("what is left", left.as_str(), new.id())
}

/// A container of Compose's, named `composed`, and its file.
pub struct Composed<'a> {
    stage: &'a Stage,
    pub parent: Parent,
    file: String,
    _folder: Folder,
}

impl<'a> Composed<'a> {
    pub fn up(stage: &'a Stage) -> Result<Self> {
        let (parent, folder) = (Parent::new("composed")?, Folder::new()?);
        let file = folder.file("docker-compose.yml", "")?;
        let this = Self {
            stage,
            parent,
            file,
            _folder: folder,
        };
        this.change("")?;
        let mut up = run::command(60, "docker-compose");
        up.args(["-f", &this.file, "up", "-d"])
            .env("DOCKER_HOST", stage.docker.host());
        run::output(&mut up)?;
        Ok(this)
    }

    /// Has more in its file.
    pub fn change(&self, more: &str) -> Result<()> {
        let text = format!(
            "version: \"2.4\"\nservices:\n  web:\n    image: {}\n    container_name: composed\n    \
             network_mode: host\n    cgroup_parent: {}\n    restart: always\n    \
             command: [sh, -c, \"{SCRIPT}\"]\n{more}",
            self.stage.image,
            self.parent.docker_path()
        );
        Ok(fs::write(&self.file, text)?)
    }

    /// The one that has its name.
    pub fn find(&self) -> Result<Container> {
        let docker = &self.stage.docker;
        let id = docker.output(&["inspect", "--format", "{{.Id}}", "composed"])?;
        Ok(Container::adopt(docker, &id, "composed"))
    }
}

/// Through Compose, whose file may have changed; a file that Compose does not take changes nothing.
pub fn composed() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let compose = Composed::up(stage)?;
    let parent = &compose.parent;
    let one = compose.find()?;
    compose.change("    environment: [GUARD=new]\n")?;
    let steps = all_done(Deed::Recreate { stop_s: 5 }, scene_of(stage, &one, parent)?)?;
    let new = compose.find()?;
    ensure!(new.id() != one.id() && new.runs()?, "{steps:#?}");
    let env = new.inspect("{{.Config.Env}}")?;
    ensure!(env.contains("GUARD=new"), "{env}");
    fs::write(&compose.file, "nonsense: [")?;
    let (kind, steps) = done(Deed::Recreate { stop_s: 5 }, scene_of(stage, &new, parent)?)?;
    ensure!(matches!(kind, OutcomeKind::Failed(_)), "{steps:#?}");
    ensure!(step(&steps, "back")?.ok && new.runs()?, "{steps:#?}");
    Ok(())
}
