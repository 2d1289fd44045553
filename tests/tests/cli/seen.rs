//! What the agent shows: metrics, health, status, and what the documents say to do with its log.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::agent::output;
use guard_tests::check::{eventually, same};
use guard_tests::guarded::{Guarded, WIDE};
use guard_tests::{Agent, Cgroup, Folder, Storm};
use serde_json::Value;

/// An agent that answers over TCP, on a port that was free a moment ago.
struct Web {
    agent: Agent,
    port: u16,
    _folder: Folder,
}

impl Web {
    fn start(cgroup: &Cgroup) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let folder = Folder::new()?;
        let (state, path) = (folder.path().display(), cgroup.path().display());
        let file = folder.file(
            "config.toml",
            &format!(
                "state_dir = \"{state}\"\non_agent_exit = \"release\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n\
                 [[target]]\nname = \"storm\"\ncgroup = \"{path}\"\n[target.gate]\n{WIDE}\n"
            ),
        )?;
        let socket = format!("{state}/agent.sock");
        let mut agent = Agent::run(&["--socket", &socket, "--config", &file])?;
        agent.wait_for("armed", Duration::from_secs(20), |_| true)?;
        Ok(Self {
            agent,
            port,
            _folder: folder,
        })
    }

    /// Status line and headers, then the body.
    fn get(&self, path: &str) -> Result<(String, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).context("connecting")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .context("reading the answer")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        Ok((head.to_owned(), body.to_owned()))
    }
}

fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && line.contains("target=\"storm\""))?;
    line.rsplit(' ').next()?.parse().ok()
}

pub fn metrics() -> Result<()> {
    let cgroup = Cgroup::new("metrics")?;
    let web = Web::start(&cgroup)?;
    let (_, before) = web.get("/metrics")?;
    same(
        "spawns before",
        metric(&before, "metamcp_guard_spawns_total"),
        Some(0.0),
    )?;
    Storm::run(&cgroup, &["forks", "500"])?;
    eventually("spawns after", Duration::from_secs(5), || {
        let (_, text) = web.get("/metrics")?;
        Ok(metric(&text, "metamcp_guard_spawns_total") == Some(500.0))
    })?;
    let (head, text) = web.get("/metrics")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    same(
        "exits",
        metric(&text, "metamcp_guard_exits_total"),
        Some(501.0),
    )?;
    same(
        "processes",
        metric(&text, "metamcp_guard_processes"),
        Some(0.0),
    )?;
    promtool(&text)?;
    web.agent.stop_cleanly().map(drop)
}

/// Prometheus's own judgement of the text.
fn promtool(text: &str) -> Result<()> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("promtool is missing: apt-get install prometheus")?;
    child
        .stdin
        .take()
        .context("no pipe")?
        .write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "promtool: {said}\n{text}");
    Ok(())
}

pub fn healthz() -> Result<()> {
    let cgroup = Cgroup::new("health")?;
    let web = Web::start(&cgroup)?;
    eventually("healthy", Duration::from_secs(10), || {
        Ok(web.get("/healthz")?.0.starts_with("HTTP/1.1 200"))
    })
    .with_context(|| format!("{:?}", web.get("/healthz")))?;
    web.agent.stop_cleanly().map(drop)
}

pub fn status() -> Result<()> {
    let cgroup = Cgroup::new("status")?;
    let guarded = Guarded::start(&cgroup, WIDE, &[])?;
    let mut storm = Storm::start(&cgroup, &["sleepers", "20", "--hold", "20000"])?;
    storm.ready()?;
    let asked = output(&["--socket", &guarded.socket, "status", "--json"])?;
    let status: Value = serde_json::from_slice(&asked.stdout)
        .with_context(|| String::from_utf8_lossy(&asked.stderr).into_owned())?;
    let target = &status["targets"][0];
    same("name", target["name"].as_str(), Some("storm"))?;
    same("live", target["counts"]["live"].as_u64(), Some(21))?;
    same("armed", target["armed"].as_bool(), Some(true))?;
    let asked = output(&["--socket", &guarded.socket, "status"])?;
    let text = String::from_utf8_lossy(&asked.stdout).into_owned();
    ensure!(text.contains("storm") && text.contains("21"), "{text}");
    cgroup.kill()?;
    guarded.agent.stop_cleanly().map(drop)
}

/// Every `jq` command of docs/dashboards.md, run on the log of a real storm.
pub fn jq_of_the_docs() -> Result<()> {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dashboards.md");
    let text = std::fs::read_to_string(docs).with_context(|| format!("cannot read {docs}"))?;
    let commands = jq_commands(&text);
    let shown = text.lines().filter(|line| line.starts_with("jq ")).count();
    ensure!(shown > 0, "{docs} shows no jq command");
    same("jq commands in fences of a shell", commands.len(), shown)?;
    let cgroup = Cgroup::new("jq")?;
    let guarded = Guarded::start(&cgroup, WIDE, &[])?;
    Storm::run(
        &cgroup,
        &["execs", "100", "--hold", "100", "--pace-us", "20000"],
    )?;
    std::thread::sleep(Duration::from_millis(2_500));
    let events = guarded.agent.stop_cleanly()?;
    let log: String = events.iter().map(|line| format!("{line}\n")).collect();
    let folder = Folder::new()?;
    folder.file("guard.log", &log)?;
    for command in commands {
        let run = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &command])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .context("bash")?;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        ensure!(run.status.success(), "{command}\n{said}");
        ensure!(
            !run.stdout.is_empty(),
            "this shows nothing of a log with a storm in it:\n{command}"
        );
    }
    Ok(())
}

/// Fenced shell blocks that begin with jq.
fn jq_commands(text: &str) -> Vec<String> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.split_once('\n'))
        .filter(|(language, body)| {
            ["sh", "bash", "shell"].contains(&language.trim()) && body.starts_with("jq ")
        })
        .map(|(_, body)| body.to_owned())
        .collect()
}
