//! The protocol's commands, with and without a running agent.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::agent::{PINS, command, finish, output};
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY};
use guard_tests::{Agent, Cgroup, Folder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest that something may take which is waited for.
const SOON: Duration = Duration::from_secs(30);

/// A process of a target, which the test started.
struct Sleeper(Child);

impl Sleeper {
    fn start(cgroup: &Cgroup) -> Result<Self> {
        let child = Command::new("sleep").arg("600").spawn();
        let sleeper = Self(child.context("starting sleep")?);
        cgroup.take(sleeper.0.id())?;
        Ok(sleeper)
    }

    fn ended(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cgroup with processes, and a configuration that guards it.
struct Scene {
    sleepers: Vec<Sleeper>,
    folder: Folder,
    config: String,
    socket: String,
    cgroup: Cgroup,
}

impl Scene {
    fn set(name: &str, sleepers: usize, tables: &str) -> Result<Self> {
        Self::protecting("kept", name, sleepers, tables)
    }

    fn protecting(protect: &str, name: &str, sleepers: usize, tables: &str) -> Result<Self> {
        let cgroup = Cgroup::new(name)?;
        let folder = Folder::new()?;
        let (state, path) = (folder.path().display(), cgroup.path().display());
        let text = format!(
            "state_dir = \"{state}\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [[target]]\nname = \"{ONLY}\"\ncgroup = \"{path}\"\nprotect = [\"{protect}\"]\n{tables}\n"
        );
        let all = (0..sleepers).map(|_| Sleeper::start(&cgroup));
        Ok(Self {
            sleepers: all.collect::<Result<_>>()?,
            config: folder.file("config.toml", &text)?,
            socket: format!("{state}/agent.sock"),
            folder,
            cgroup,
        })
    }

    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [
            &["--socket", &self.socket],
            words,
            &["--config", &self.config],
        ]
        .concat()
    }

    /// Runs a command that must end with this code.
    fn run(&self, words: &[&str], code: i32) -> Result<(String, String)> {
        let ran = output(&self.words(words))?;
        let said = said(&ran);
        same(
            &format!("exit code of {words:?}: {}{}", said.0, said.1),
            ran.status.code(),
            Some(code),
        )?;
        Ok(said)
    }

    fn json(&self, words: &[&str], code: i32) -> Result<Value> {
        let (out, _) = self.run(&[words, &["--json"]].concat(), code)?;
        serde_json::from_str(&out).with_context(|| out)
    }

    fn is_answered(&self) -> Result<bool> {
        // 1: a level above warning.
        let ran = output(&["--socket", &self.socket, "status"])?;
        Ok(matches!(ran.status.code(), Some(0 | 1)))
    }
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn pinned() -> bool {
    Path::new(PINS).exists()
}

/// A tree is ended by an agent that was started for that and leaves nothing, though its config says
/// `keep`; what is not there is exit code 4.
pub fn starts_an_agent() -> Result<()> {
    let mut scene = Scene::set("own", 1, "")?;
    ensure!(!pinned(), "{PINS} is there before");
    let answer = scene.json(&["kill", "--yes"], 0)?;
    same(
        "result",
        answer["trees"][0]["result"].as_str(),
        Some("done"),
    )?;
    let sleeper = scene.sleepers.first_mut().context("no sleeper")?;
    eventually("the process has ended", SOON, || sleeper.ended())?;
    ensure!(!pinned(), "{PINS} was left");
    ensure!(!scene.is_answered()?, "the agent goes on");
    let (_, words) = scene.run(&["kill", "--dry-run"], 0)?;
    ensure!(words.contains("one is started for this"), "{words}");
    let (_, words) = scene.run(&["freeze", "web", "--yes"], 4)?;
    ensure!(words.contains(&format!("there are: {ONLY}")), "{words}");
    let gone = "[[target]]\nname = \"b\"\ncgroup = \"@\"\n".replace(
        '@',
        &scene
            .cgroup
            .path()
            .with_extension("gone")
            .display()
            .to_string(),
    );
    let text = std::fs::read_to_string(&scene.config)?;
    let file = scene.folder.file("gone.toml", &format!("{text}{gone}"))?;
    let words = [
        "--socket",
        &scene.socket,
        "validate",
        "b",
        "--config",
        &file,
    ];
    let ran = output(&words)?;
    same("exit code", ran.status.code(), Some(4))?;
    let (_, words) = said(&ran);
    ensure!(words.contains("not there: b (cgroup "), "{words}");
    ensure!(!pinned(), "{PINS} was left");
    Ok(())
}

/// A gate that an agent has left at work is taken over for the command, and left again.
pub fn keeps_what_was() -> Result<()> {
    let cgroup = Cgroup::new("own-kept")?;
    let _sleeper = Sleeper::start(&cgroup)?;
    let path = cgroup.path().display().to_string();
    let (keep, name, gate) = ("on_agent_exit = \"keep\"", ONLY, "");
    let target = guard_tests::guarded::Target {
        name,
        path: &path,
        gate,
    };
    let mut guarded = Guarded::begin_all("info", keep, &[target], &[])?;
    guarded.ready(ONLY)?;
    let (left, _) = guarded.stop_and_leave()?;
    ensure!(pinned(), "nothing was left to begin with");
    let folder = Folder::new()?;
    let state = folder.path().display();
    let text = format!(
        "state_dir = \"{state}\"\n{keep}\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [[target]]\nname = \"{ONLY}\"\ncgroup = \"{path}\"\n"
    );
    let file = folder.file("config.toml", &text)?;
    let socket = format!("{state}/agent.sock");
    let ran = output(&["--socket", &socket, "kill", "--dry-run", "--config", &file])?;
    same("exit code", ran.status.code(), Some(0))?;
    let stays = pinned();
    drop(left);
    ensure!(stays, "the gate was taken away: {}", said(&ran).1);
    Ok(())
}

/// Whoever kills a command by SIGKILL has not left an agent.
pub fn ends_with_its_command() -> Result<()> {
    let scene = Scene::set("own-ends", 1, "")?;
    let words = scene.words(&["validate", "--window", "10m"]);
    let mut child = command(&words)?
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting metamcp-guard validate")?;
    let answers = eventually("the agent answers", SOON, || scene.is_answered());
    kill_process(Pid::from_child(&child), Signal::KILL)?;
    child.wait()?;
    answers?;
    eventually("the agent has ended", SOON, || Ok(!scene.is_answered()?))?;
    eventually("the gate is gone", SOON, || Ok(!pinned()))
}

/// Levels by the total, since a cgroup without a gateway has no healthy server.
fn levels(warning: u64) -> String {
    let (critical, emergency, nuclear) = (warning + 1, warning + 50, warning + 100);
    format!(
        "[target.processes]\ncount = \"total\"\nwarning = {warning}\ncritical = {critical}\n\
         emergency = {emergency}\nnuclear = {nuclear}\nclear_after = \"1s\"\n\
         [target.tiers]\nnuclear_monitor = {{ on = false }}\nhost_monitor = {{ on = false }}\n"
    )
}

/// What holds is said, and what does not is the exit code.
pub fn validate() -> Result<()> {
    let scene = Scene::set("validate", 2, &levels(5))?;
    let report = scene.json(&["validate", "--window", "2s"], 0)?;
    same("ok", &report["ok"], &Value::Bool(true))?;
    let of = |report: &Value, name: &str| {
        let all = report["targets"][0]["criteria"].as_array().cloned();
        let mut all = all.unwrap_or_default().into_iter();
        let found = all.find(|one| one["name"] == name);
        found.map(|one| one["result"].clone()).unwrap_or_default()
    };
    same("processes", of(&report, "processes"), "holds".into())?;
    same("health", of(&report, "health"), "unread".into())?;
    // The agent was started for this.
    same("monitoring", of(&report, "monitoring"), "unread".into())?;
    let mut agent = Agent::run(&scene.words(&["--observe"]))?;
    agent.wait_for("armed", SOON, |_| true)?;
    let report = scene.json(&["validate", "--window", "1s"], 0)?;
    same("monitoring", of(&report, "monitoring"), "holds".into())?;
    ensure!(
        report
            .to_string()
            .contains("off by the configuration: host_monitor"),
        "{report}"
    );
    agent.stop_cleanly()?;

    let scene = Scene::set("validate-not", 3, &levels(2))?;
    let report = scene.json(&["validate", "--window", "10m"], 1)?;
    same("processes", of(&report, "processes"), "failed".into())
}

/// Where all is well nothing is done; where nothing has evidence against it a cleanup does not help, and
/// of a cgroup there is nothing to restart.
pub fn crisis() -> Result<()> {
    let scene = Scene::set("crisis", 1, &levels(5))?;
    let report = scene.json(&["crisis", "--yes"], 0)?;
    let one = &report["targets"][0];
    same("level", one["verdict"]["level"].as_str(), Some("normal"))?;
    same("steps", one["steps"].as_array().map(Vec::len), Some(0))?;
    let advice = one["verdict"]["advice"].as_str();
    same("advice", advice, Some("nothing to do"))?;

    let mut scene = Scene::protecting("sleep", "crisis-not", 4, &levels(2))?;
    let dry = scene.json(&["crisis", "--dry-run"], 0)?;
    let level = dry["targets"][0]["verdict"]["level"].as_str();
    same("level", level, Some("critical"))?;
    let (_, words) = scene.run(&["crisis", "--wait", "2s", "--yes"], 1)?;
    ensure!(words.contains("option A: cleanup"), "{words}");
    ensure!(words.contains("not better yet"), "{words}");
    for sleeper in &mut scene.sleepers {
        ensure!(!sleeper.ended()?, "a process without evidence was ended");
    }
    Ok(())
}

/// What enforces is read back; of a cgroup Docker knows nothing, and its start cannot be seen.
pub fn enforce() -> Result<()> {
    let scene = Scene::set("enforce", 1, "[target.gate]\nmax_processes = 77\n")?;
    let report = scene.json(&["enforce", "--yes"], 0)?;
    let methods = report["targets"][0]["methods"].as_array().cloned();
    let methods = methods.unwrap_or_default();
    let found = |what: &str| {
        let mut all = methods.iter();
        let found = all.find(|one| one["what"] == what);
        found
            .and_then(|one| one["found"].as_str())
            .unwrap_or_default()
    };
    ensure!(found("gate max_processes").starts_with("77,"), "{report}");
    ensure!(
        found("tier nuclear_monitor") == "off while no agent runs",
        "{report}"
    );
    let expected = std::env::var("GUARD_EXPECT_MODE").unwrap_or_default();
    // Under a profile whose Node would not bear EPERM, `deny` is `kill` (gate.md §3).
    ensure!(
        [expected.as_str(), "kill"].contains(&found("gate mode")),
        "{report}"
    );
    let (out, _) = scene.run(&["prevent", "--yes"], 1)?;
    ensure!(out.contains("a cgroup has no start"), "{out}");
    Ok(())
}

/// The override, over a compose file with the service.
pub fn compose() -> Result<()> {
    let made = output(&["--socket", "/nowhere", "compose"])?;
    same("exit code", made.status.code(), Some(0))?;
    let folder = Folder::new()?;
    let base = "services:\n  metamcp:\n    image: example/metamcp\n    environment:\n      A: b\n";
    let base = folder.file("docker-compose.yml", base)?;
    let over = folder.file("docker-compose.override.yml", &said(&made).0)?;
    let ran = finish(Command::new("docker-compose").args(["-f", &base, "-f", &over, "config"]))?;
    let (out, errors) = said(&ran);
    ensure!(ran.status.success(), "{errors}");
    for line in [
        "image: example/metamcp",
        "init: true",
        "no-new-privileges:true",
        "pids_limit: 6400",
        "A: b",
        "MAX_PROCESSES: '15'",
        "hard: 2048",
        "retries: 3",
    ] {
        ensure!(out.contains(line), "{line} is not in {out}");
    }
    ensure!(!out.contains("nproc"), "{out}");
    Ok(())
}
