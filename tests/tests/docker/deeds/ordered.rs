//! What is ordered of a container as a whole, by the commands: with an agent and without one, dry and
//! done, and what they print as JSON.

use anyhow::{Context, Result, ensure};
use guard_tests::Folder;
use guard_tests::agent::{command, finish};
use guard_tests::check::{eventually, same};
use guard_tests::docker::{Container, Docker, Parent};
use serde_json::Value;

use super::anew::Networks;
use super::{COUNTS, goes_on, stands};
use crate::journal::{ended, lines};
use crate::profile::until;
use crate::scene::{Guard, OnStage, SOON};

const RULES: &str = "name = \"web\"\ncontainer = \"web\"\n\
    [target.gate]\nmax_processes = 50\n\
    [target.limits]\nmemory = \"256MB\"\npids = 900\n\
    [target.tiers]\nnuclear_monitor = { on = false }\nhost_monitor = { on = false }\n\
    startup_preventer = { on = true }\n\
    [target.restart]\nstop_timeout = \"1s\"";

/// What can be seen of it from outside.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    id: String,
    rest: String,
}

const FIELD: &str = "{{.Id}} {{.State.StartedAt}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} \
    {{range $name, $net := .NetworkSettings.Networks}}{{$name}} {{end}}";

fn seen(docker: &Docker) -> Result<Seen> {
    let said = docker.output(&["inspect", "--format", FIELD, "web"])?;
    let (id, rest) = said.split_once(' ').context("no id")?;
    Ok(Seen {
        id: id.to_owned(),
        rest: rest.trim().to_owned(),
    })
}

/// How commands are given: to the agent that runs, or with the same configuration and none.
struct Desk<'a> {
    docker: &'a Docker,
    words: Vec<String>,
    /// Without an agent, one dry run shows all: each command starts its own.
    alone: bool,
}

impl Desk<'_> {
    /// Gives one, when what the startup preventer does is over; its answer about the only target.
    fn order(&self, order: &[&str]) -> Result<Value> {
        let mut answer = self.order_now(order);
        eventually("nothing is under way", SOON, || {
            let is_busy = |error: &anyhow::Error| error.to_string().contains("limit is under way");
            let busy = answer.as_ref().is_err_and(is_busy);
            if busy {
                answer = self.order_now(order);
            }
            Ok(!busy)
        })?;
        answer
    }

    fn order_now(&self, order: &[&str]) -> Result<Value> {
        let (before, after) = self.words.split_at(2);
        let all = before
            .iter()
            .map(String::as_str)
            .chain(order.iter().copied());
        let all: Vec<&str> = all
            .chain(after.iter().map(String::as_str))
            .chain(["--json"])
            .collect();
        let ran = finish(command(&all)?.env("DOCKER_HOST", self.docker.host()))?;
        let said = String::from_utf8_lossy(&ran.stdout);
        let wrong = || format!("{all:?}: {said}{}", String::from_utf8_lossy(&ran.stderr));
        ensure!(ran.status.success(), wrong());
        let answer: Value = serde_json::from_str(&said).with_context(wrong)?;
        Ok(match answer["targets"].get(0) {
            Some(one) => one.clone(),
            None => answer,
        })
    }

    /// A dry run says what would be done, and does nothing; then it is done.
    fn both(&self, order: &[&str]) -> Result<(Seen, Seen)> {
        let before = seen(self.docker)?;
        if !self.alone || order == ["restart"] {
            let dry = self.order(&[order, &["web", "--dry-run"]].concat())?;
            same("a dry run's effect", seen(self.docker)?, before.clone())?;
            let is_dry =
                dry["dry_run"] == true && dry["result"] == "would" || dry["methods"].is_array();
            ensure!(is_dry, "{order:?}: {dry}");
        }
        let done = self.order(&[order, &["web", "--yes"]].concat())?;
        let is_done = done["result"] == "done" || done["methods"].is_array();
        ensure!(is_done, "{order:?}: {done}");
        Ok((before, seen(self.docker)?))
    }
}

/// Whoever has the name in the end. Dropped, it is removed.
struct Named<'a>(&'a Docker);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        let _ = self.0.output(&["rm", "-f", "web"]);
    }
}

pub fn by_commands() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let docker = &stage.docker;
    let networks = ["guard-web"];
    let _networks = Networks::make(docker, &networks)?;
    let parent = Parent::new("web")?;
    let place = parent.docker_path();
    let options = [
        "run",
        "-d",
        "--name",
        "web",
        "--cgroup-parent",
        &place,
        "--network",
        "guard-web",
    ];
    let id = docker.output(&[&options[..], &[&stage.image, "sh", "-c", COUNTS]].concat())?;
    let one = Container::adopt(docker, &id, "web");
    let _anew = Named(docker);
    let guard = Guard::start(docker, RULES, &[])?;
    until(&guard, "it is found", |target| target["armed"] == true)?;
    let desk = Desk {
        docker,
        words: vec!["--socket".to_owned(), guard.socket.clone()],
        alone: false,
    };
    eventually("it has its limits", SOON, || {
        Ok(ended(&lines(&guard)?, "limit").is_some())
    })?;
    desk.order(&["freeze", "web", "--dry-run"])?;
    ensure!(!stands(&one)?, "a dry run has frozen it");
    desk.order(&["freeze", "web", "--yes"])?;
    ensure!(stands(&one)?, "it runs on while it is frozen");
    desk.order(&["thaw", "web", "--dry-run"])?;
    ensure!(stands(&one)?, "a dry run has thawed it");
    desk.order(&["thaw", "web"])?;
    goes_on(&one)?;
    all(&desk, &["prevent"])?;
    guard.agent.stop_cleanly()?;

    let folder = Folder::new()?;
    let (state, socket) = (folder.path().display(), folder.path().join("agent.sock"));
    let config =
        format!("state_dir = \"{state}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[[target]]\n{RULES}\n");
    let config = folder.file("config.toml", &config)?;
    let words = [
        "--socket",
        &socket.display().to_string(),
        "--config",
        &config,
    ];
    let desk = Desk {
        docker,
        words: words.map(str::to_owned).to_vec(),
        alone: true,
    };
    desk.order(&["thaw", "web"])?;
    all(&desk, &["enforce"])
}

/// Limits, cut off and given back, restarted, made anew.
fn all(desk: &Desk<'_>, limits: &[&str]) -> Result<()> {
    desk.docker
        .output(&["update", "--pids-limit", "800", "web"])?;
    let (_, after) = desk.both(limits)?;
    ensure!(after.rest.contains("256000000 900 "), "{after:?}");
    let (before, after) = desk.both(&["isolate"])?;
    ensure!(
        before.rest.contains("guard-web") && !after.rest.contains("guard-web"),
        "{after:?}"
    );
    let (_, after) = desk.both(&["isolate", "--rejoin"])?;
    same("its networks", after, before)?;
    let (before, after) = desk.both(&["restart"])?;
    ensure!(
        after.id == before.id && after.rest != before.rest,
        "{after:?}"
    );
    let (before, after) = desk.both(&["recreate"])?;
    ensure!(
        after.id != before.id && after.rest.contains("guard-web"),
        "{after:?}"
    );
    let left = desk.docker.output(&["ps", "-aq", "--no-trunc"])?;
    same("what is left", left.as_str(), &after.id)
}
