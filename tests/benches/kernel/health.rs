//! What a gateway's health check takes while its clients leak their sessions: with nothing to hold them, and
//! under a guard. The gateway treats its servers as MetaMCP does, and runs by node without a container.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::bench::{Table, float};
use guard_tests::check::eventually;
use guard_tests::docker::gateway::asker;
use guard_tests::docker::prober::{Health, Prober};
use guard_tests::guarded::Guarded;
use guard_tests::{Cgroup, place};
use serde_json::{Value, json};

/// Servers of each session, each a process by node.
const SERVERS: usize = 3;
/// Sessions that nobody ends.
const SESSIONS: u32 = 20;
/// From one to the next.
const SPACING: Duration = Duration::from_millis(400);
/// How long nothing happens before them.
const CALM: Duration = Duration::from_secs(4);
/// Longest for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Room for the gateway, its idle servers and two sessions.
const GATE: &str = "max_processes = 10\nspawn_rate = 1000000\nspawn_burst = 1000000";

/// One round: without a guard, then under one.
pub fn round(table: &mut Table) -> Result<()> {
    let cgroup = Cgroup::new("bench-unguarded")?;
    let (calm, storm, state) = Gateway::start(&cgroup)?.stormed()?;
    rows(table, "no guard, no storm", &calm);
    rows(table, "no guard, storm", &storm);
    let all = list(&state, "processes").len();
    table.add(
        "no guard: servers at the end",
        "",
        float(u64::try_from(all)?),
        None,
    );

    let cgroup = Cgroup::new("bench-guarded")?;
    let guarded = Guarded::protecting(&cgroup, "metamcp\\.js", GATE)?;
    let (calm, storm, state) = Gateway::start(&cgroup)?.stormed()?;
    rows(table, "guard, no storm", &calm);
    rows(table, "guard, storm", &storm);
    let counts = guarded.only()?.counts;
    ensure!(counts.denied > 0, "the storm never met the cap: {counts:?}");
    let of = |name: &str| -> Result<f64> { Ok(float(u64::try_from(list(&state, name).len())?)) };
    table.add("guard: servers at the end", "", of("processes")?, None);
    table.add("guard: spawns refused", "", of("refused")?, None);
    table.add(
        "guard: crashes that the gateway counted",
        "",
        of("crashes")?,
        Some(0.0),
    );
    drop(cgroup);
    guarded.agent.stop_cleanly().map(drop)
}

fn rows(table: &mut Table, what: &str, health: &Health) {
    for (quantile, percent) in [("p50", 50), ("p99", 99), ("max", 100)] {
        let ms = health.percentile(percent).as_secs_f64() * 1_000.0;
        table.add(&format!("{what}, {quantile}"), "ms", ms, None);
    }
    let unanswered = float(u64::try_from(health.failures.len()).unwrap_or(u64::MAX));
    table.add(
        &format!("{what}, checks without an answer"),
        "",
        unanswered,
        None,
    );
}

fn list<'a>(state: &'a Value, name: &str) -> &'a [Value] {
    state
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The gateway, in a cgroup and a mount namespace of its own. Dropped, it is killed; its servers die with
/// their cgroup.
struct Gateway {
    child: Child,
    port: u16,
}

impl Gateway {
    fn start(cgroup: &Cgroup) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let script = |name| format!("{}/gateways/{name}", env!("CARGO_MANIFEST_DIR"));
        let server = |number| {
            let entry = json!({"command": "node", "args": [script("plain.js"), format!("number-{number}")]});
            (format!("plain-{number}"), entry)
        };
        let servers: serde_json::Map<_, _> = (0..SERVERS).map(server).collect();
        let errors = std::env::temp_dir().join(format!("guard-bench-errors-{port}"));
        let config = json!({"port": port, "boot_ms": 100, "servers": servers, "errors": errors});
        let child = Command::new(place::program("GUARD_STORM", "storm")?)
            .arg("--apart")
            .arg("--cgroup")
            .arg(cgroup.path())
            .args(["run", "--", "node", &script("metamcp.js")])
            .env("METAMCP", config.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting the gateway")?;
        let gateway = Self { child, port };
        eventually("the gateway has booted", PATIENCE, || {
            Ok(gateway
                .state()
                .is_ok_and(|state| state.get("booted") == Some(&Value::Bool(true))))
        })?;
        Ok(gateway)
    }

    /// Some calm, then the storm; what the gateway believes at the end.
    fn stormed(self) -> Result<(Health, Health, Value)> {
        let health = format!("http://127.0.0.1:{}/health", self.port);
        let prober = Prober::start(health.clone());
        thread::sleep(CALM);
        let calm = prober.stop()?;
        let prober = Prober::start(health);
        let began = Instant::now();
        thread::scope(|scope| {
            for number in 0..SESSIONS {
                let gateway = &self;
                scope.spawn(move || {
                    thread::sleep((SPACING * number).saturating_sub(began.elapsed()));
                    // A client that is not answered is what a storm does; the figures are the prober's.
                    gateway.session().unwrap_or_default();
                });
            }
        });
        let storm = prober.stop()?;
        let state = self.state()?;
        Ok((calm, storm, state))
    }

    /// A session that asks for its tools and is never ended.
    fn session(&self) -> Result<()> {
        let at = |path: &str| format!("http://127.0.0.1:{}/{path}", self.port);
        let text = asker(PATIENCE)
            .post(at("session"))
            .send_empty()?
            .body_mut()
            .read_to_string()?;
        let opened: Value = serde_json::from_str(&text)?;
        let id = opened.get("id").and_then(Value::as_str).context("no id")?;
        asker(PATIENCE).get(at(&format!("tools/{id}"))).call()?;
        Ok(())
    }

    fn state(&self) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/state", self.port);
        let text = asker(PATIENCE)
            .get(url)
            .call()?
            .body_mut()
            .read_to_string()?;
        serde_json::from_str(&text).context("the gateway's state")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        let errors = std::env::temp_dir().join(format!("guard-bench-errors-{}", self.port));
        let _none = std::fs::remove_file(errors);
    }
}
