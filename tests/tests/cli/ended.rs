//! `retire` and `kill`: trees ended by hand, on a gateway with servers of several kinds.

use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::Cgroup;
use guard_tests::agent::output;
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, ONLY, SOON, WIDE};
use guard_tests::keeper::{Ended, Keeper, PROTECT};
use serde_json::Value;

/// How long a tree has to end by itself here.
const GRACE: Duration = Duration::from_secs(2);

/// A guarded gateway and its servers' roots.
struct Scene {
    keeper: Keeper,
    roots: Vec<u32>,
    guarded: Guarded,
    cgroup: Cgroup,
}

impl Scene {
    fn set(name: &str, kinds: &[&str], arguments: &[&str]) -> Result<Self> {
        let cgroup = Cgroup::new(name)?;
        let path = cgroup.path().display();
        let target = format!(
            "[[target]]\nname = \"{ONLY}\"\ncgroup = \"{path}\"\nprotect = [\"{PROTECT}\"]\n\
             [target.gate]\n{WIDE}\n[target.end]\ngrace = \"{}s\"\n",
            GRACE.as_secs()
        );
        let mut guarded = Guarded::begin_config("info", &target, arguments)?;
        guarded.hears(ONLY, "armed", &[])?;
        let mut keeper = Keeper::start(&cgroup, kinds)?;
        guarded.until("the gateway is known", |target| target.gateways.len() == 1)?;
        let roots = keeper.open()?;
        // A hydra has two processes, the others three.
        let hydras = kinds.iter().filter(|kind| **kind == "hydra").count();
        let live = 1 + 3 * kinds.len() - hydras;
        guarded.until("all servers run", |target| {
            target.counts.trees == kinds.len() as u64 && target.counts.live == live as u64
        })?;
        Ok(Self {
            keeper,
            roots,
            guarded,
            cgroup,
        })
    }

    fn run(&self, words: &[&str]) -> Result<(Option<i32>, Output)> {
        let output = output(&[&["--socket", &self.guarded.socket], words].concat())?;
        Ok((output.status.code(), output))
    }

    /// Runs a command that must end with this code; what it printed as JSON.
    fn json(&self, words: &[&str], code: i32) -> Result<Value> {
        let (seen, output) = self.run(&[words, &["--json"]].concat())?;
        let text = said(&output);
        same(&format!("exit code of {words:?}: {text}"), seen, Some(code))?;
        serde_json::from_slice(&output.stdout).with_context(|| format!("{words:?}: {text}"))
    }

    /// The only tree of an answer: its result and message.
    fn one(&self, words: &[&str], code: i32) -> Result<(String, String)> {
        let answer = self.json(words, code)?;
        let trees = answer["trees"].as_array().context("no trees")?;
        same("trees", trees.len(), 1)?;
        let text = |name| {
            answer["trees"][0][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        Ok((text("result"), text("message")))
    }

    fn root(&self, at: usize) -> Result<u32> {
        self.roots.get(at).copied().context("no such server")
    }

    fn live(&self) -> Result<u64> {
        Ok(self.guarded.only()?.counts.live)
    }

    fn gateway_lives(&mut self) -> Result<()> {
        ensure!(self.keeper.lives()?, "the gateway has ended");
        Ok(())
    }

    fn stop(self) -> Result<Vec<Value>> {
        self.cgroup.kill()?;
        self.guarded.agent.stop_cleanly()
    }
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// A child of `pid`.
fn child_of(pid: u32) -> Result<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    first.with_context(|| format!("pid {pid} has no child"))
}

fn well(pid: u32) -> Ended {
    Ended {
        pid,
        code: Some(0),
        signal: None,
    }
}

pub fn retire_one() -> Result<()> {
    let mut scene = Scene::set("retire", &["socket"; 3], &[])?;
    let root = scene.root(1)?;
    // Any process of it names the tree.
    let shell = child_of(root)?.to_string();
    let begun = Instant::now();
    let (result, message) = scene.one(&["retire", "--tree", &shell, "--yes"], 0)?;
    println!("retired in {:?}: {message}", begun.elapsed());
    same("result", result.as_str(), "done")?;
    same("how it ended", scene.keeper.wait_for(1)?, vec![well(root)])?;
    same("live", scene.live()?, 1 + 2 * 3)?;
    scene.gateway_lives()?;
    scene
        .guarded
        .until("it is counted", |target| target.retired == 1)?;
    let root = root.to_string();
    let line = scene.guarded.hears(ONLY, "retired", &[])?;
    same("root in the log", line["root"].to_string(), root)?;
    scene.stop().map(drop)
}

pub fn retire_all() -> Result<()> {
    let mut scene = Scene::set("retire-all", &["socket"; 4], &[])?;
    let answer = scene.json(&["retire", "--yes"], 0)?;
    let trees = answer["trees"].as_array().context("no trees")?;
    // The gateway's own tree is protected, and not one of them.
    same("trees", trees.len(), 4)?;
    let mut ended = scene.keeper.wait_for(4)?;
    ended.sort_by_key(|one| one.pid);
    let mut roots: Vec<Ended> = scene.roots.iter().map(|pid| well(*pid)).collect();
    roots.sort_by_key(|one| one.pid);
    same("how they ended", ended, roots)?;
    same("live", scene.live()?, 1)?;
    scene.gateway_lives()?;
    scene.stop().map(drop)
}

pub fn retire_cannot() -> Result<()> {
    let mut scene = Scene::set("cannot", &["pipe", "shared", "deaf", "socket"], &[])?;
    for (at, word) in [
        (0, "a pipe"),
        (1, "is also held by pid"),
        (2, "did not end within 2s: use kill"),
    ] {
        let pid = scene.root(at)?.to_string();
        let (result, message) = scene.one(&["retire", "--tree", &pid, "--yes"], 1)?;
        same("result", result.as_str(), "failed")?;
        ensure!(message.contains(word), "{message}");
    }
    same("live", scene.live()?, 1 + 4 * 3)?;
    same("ended", scene.keeper.ended(), vec![])?;
    scene.gateway_lives()?;
    scene.stop().map(drop)
}

pub fn kill_one() -> Result<()> {
    let mut scene = Scene::set("kill", &["socket", "stubborn", "socket"], &[])?;
    let root = scene.root(1)?;
    let begun = Instant::now();
    let (result, _) = scene.one(&["kill", "--tree", &root.to_string(), "--yes"], 0)?;
    same("result", result.as_str(), "done")?;
    ensure!(begun.elapsed() >= GRACE, "it had its grace");
    let ended = scene.keeper.wait_for(1)?;
    same("who", ended.first().map(|one| one.pid), Some(root))?;
    same("live", scene.live()?, 1 + 2 * 3)?;
    scene.gateway_lives()?;
    let other = scene.root(0)?.to_string();
    let begun = Instant::now();
    scene.one(&["kill", ONLY, "--tree", &other, "--yes"], 0)?;
    ensure!(
        begun.elapsed() < GRACE,
        "what obeys SIGTERM is not waited for"
    );
    same("live", scene.live()?, 1 + 3)?;
    let killed = scene.guarded.only()?.killed_by_operator;
    same("processes killed", killed, 6)?;
    scene.stop().map(drop)
}

pub fn half_a_tree_is_never_left() -> Result<()> {
    let mut scene = Scene::set("whole", &["hydra", "socket"], &[])?;
    let root = scene.root(0)?.to_string();
    let (result, _) = scene.one(&["kill", "--tree", &root, "--yes"], 0)?;
    same("result", result.as_str(), "done")?;
    same("live", scene.live()?, 1 + 3)?;
    scene.gateway_lives()?;
    scene.stop().map(drop)
}

pub fn nothing_outside_is_signalled() -> Result<()> {
    let scene = Scene::set("leaver", &["stubborn", "socket"], &[])?;
    let elsewhere = Cgroup::new("elsewhere")?;
    let root = scene.root(0)?;
    // The leaf: the others end when what they have started does.
    let leaver = child_of(child_of(root)?)?;
    let word = root.to_string();
    let killing = thread::scope(|threads| {
        let killing = threads.spawn(|| scene.one(&["kill", "--tree", &word, "--yes"], 0));
        // After the choice, before SIGKILL.
        thread::sleep(GRACE / 2);
        elsewhere.take(leaver)?;
        killing
            .join()
            .map_err(|_| anyhow::anyhow!("the command panicked"))?
    });
    killing?;
    let there = elsewhere.pids()?;
    ensure!(there.contains(&leaver), "it was killed outside: {there:?}");
    ensure!(
        !Path::new(&format!("/proc/{root}/exe")).exists(),
        "it lives"
    );
    same("live", scene.live()?, 1 + 3)?;
    scene.stop().map(drop)
}

pub fn dry_run_and_asking() -> Result<()> {
    let mut scene = Scene::set("dry", &["socket", "socket"], &[])?;
    let root = scene.root(0)?.to_string();
    let (result, _) = scene.one(&["kill", "--tree", &root, "--dry-run"], 0)?;
    same("result", result.as_str(), "would")?;
    let (code, would) = scene.run(&["kill", "--dry-run"])?;
    same("exit code", code, Some(0))?;
    let text = said(&would);
    ensure!(
        text.contains("2 of 2 trees") && text.contains("MetaMCP marks this server ERROR"),
        "{text}"
    );
    let (code, asks) = scene.run(&["kill", "--tree", &root])?;
    same("exit code without a terminal", code, Some(2))?;
    ensure!(said(&asks).contains("--yes"), "{}", said(&asks));
    same("live", scene.live()?, 1 + 2 * 3)?;
    same("ended", scene.keeper.ended(), vec![])?;
    scene.gateway_lives()?;
    scene.stop().map(drop)
}

pub fn who_may_not() -> Result<()> {
    let mut scene = Scene::set("spared", &["socket"], &[])?;
    let gateway = scene.keeper.pid().to_string();
    for action in ["retire", "kill"] {
        let (result, message) = scene.one(&[action, "--tree", &gateway, "--yes"], 1)?;
        same("result", result.as_str(), "refused")?;
        ensure!(message.contains("is a gateway"), "{message}");
    }
    for (words, code) in [
        (&["kill", "nobody", "--yes"][..], 4),
        // This test is no process of the target.
        (&["kill", "--tree", "1", "--yes"], 4),
    ] {
        let (seen, output) = scene.run(words)?;
        same(&format!("{words:?}: {}", said(&output)), seen, Some(code))?;
    }
    scene.gateway_lives()?;
    same("live", scene.live()?, 1 + 3)?;
    scene.stop().map(drop)
}

pub fn observe_changes_nothing() -> Result<()> {
    let mut scene = Scene::set("watched", &["socket", "socket"], &["--observe"])?;
    let root = scene.root(0)?.to_string();
    for words in [
        &["retire", "--yes"][..],
        &["kill", "--tree", &root, "--yes"],
    ] {
        let answer = scene.json(words, 1)?;
        for tree in answer["trees"].as_array().context("no trees")? {
            let message = tree["message"].as_str().unwrap_or_default();
            ensure!(message.starts_with("observe: would have"), "{message}");
        }
    }
    thread::sleep(Duration::from_secs(1));
    same("live", scene.live()?, 1 + 2 * 3)?;
    same("ended", scene.keeper.ended(), vec![])?;
    scene.gateway_lives()?;
    scene.stop().map(drop)
}

pub fn an_agent_that_stops_ends_what_it_began() -> Result<()> {
    let scene = Scene::set("stopped", &["stubborn", "socket"], &[])?;
    let word = scene.root(0)?.to_string();
    thread::scope(|threads| {
        threads.spawn(|| scene.run(&["kill", "--tree", &word, "--yes"]));
        thread::sleep(GRACE / 4);
        let pid = i32::try_from(scene.guarded.agent.pid()).ok();
        let pid = pid
            .and_then(rustix::process::Pid::from_raw)
            .context("pid")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        eventually("the other tree alone is left", SOON, || {
            Ok(scene.cgroup.pids()?.len() == 1 + 3)
        })
    })?;
    scene.cgroup.kill()
}
