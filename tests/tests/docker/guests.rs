//! What comes by `docker exec`, health checks, and a container's own wrappers: they work while the
//! servers press against the cap.

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::{Layout, MetaMcp, Setup};
use guard_tests::docker::{Container, Docker, Parent, Told};

use crate::metamcp::{BOOT, PATIENCE, Stand};
use crate::profile::{RESERVE, SLOTS, guard, guard_with, until};
use crate::scene::{OnStage, SOON};
use crate::table;

const PIPELINE: [&str; 3] = ["sh", "-c", "echo one two | cat | cat"];
/// A health check of several processes, often.
const HEALTH: [&str; 6] = [
    "--health-cmd",
    "echo one | cat | cat",
    "--health-interval",
    "1s",
    "--health-retries",
    "1",
];

fn healthy(container: &Container) -> Result<()> {
    let health = "{{.State.Health.Status}} {{.State.Health.FailingStreak}}";
    same("health", container.inspect(health)?.as_str(), "healthy 0")
}

/// While leaked sessions keep coming at the cap, each with spawns that are refused: a hundred
/// pipelines and ten servers by `docker exec`, and a health check all the while.
pub fn in_mid_storm() -> Result<()> {
    const ROUNDS: usize = 10;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let layout = Layout::Entrypoint;
    let guard = guard(stage, RESERVE + layout.processes() + 4 * SLOTS)?;
    let setup = Setup {
        layout,
        options: &HEALTH,
        ..Setup::default()
    };
    let stand = Stand::start(stage, "metamcp", &setup)?;
    let gateway = &stand.gateway;
    gateway.settled(BOOT)?.ensure_all_idle()?;
    let over = AtomicBool::new(false);
    let refused = || Ok::<_, anyhow::Error>(gateway.state()?.refused.len());
    let work = || -> Result<()> {
        eventually("at the cap", BOOT, || Ok(refused()? > 0))?;
        eventually("healthy", SOON, || Ok(healthy(&gateway.container).is_ok()))?;
        for _ in 0..ROUNDS {
            let before = refused()?;
            for _ in 0..10 {
                same(
                    "docker exec",
                    gateway.container.exec(&PIPELINE)?.as_str(),
                    "one two",
                )?;
            }
            serve(&stage.docker)?;
            healthy(&gateway.container)?;
            ensure!(refused()? > before, "the storm was over");
        }
        Ok(())
    };
    let sessions = thread::scope(|scope| {
        let leaking = scope.spawn(|| leak(gateway, &over));
        let worked = work();
        over.store(true, Relaxed);
        let leaked = leaking.join().map_err(|_| anyhow!("the storm panicked"))?;
        worked.and(leaked)
    })?;
    let state = gateway.settled(BOOT)?;
    state.ensure_no_error()?;
    same("killed", &guard.target()?["counts"]["killed"], &0.into())?;
    table::note(format!(
        "in mid-storm: {} docker execs with a pipeline and {ROUNDS} with a server passed while {sessions} sessions leaked and {} spawns were refused",
        10 * ROUNDS,
        state.refused.len()
    ));
    guard.agent.stop_cleanly().map(drop)
}

/// Sessions that nobody ends, one after the other; gives how many.
fn leak(gateway: &MetaMcp, over: &AtomicBool) -> Result<u32> {
    let mut sessions = 0;
    while !over.load(Relaxed) {
        let answer = gateway.list(&gateway.open()?, PATIENCE);
        ensure!(answer.error.is_none(), "session {sessions}: {answer}");
        sessions += 1;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(sessions)
}

/// A client that has its server by `docker exec -i`.
fn serve(docker: &Docker) -> Result<()> {
    const HELLO: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "guard-suite", "version": "1"}}}"#;
    let server = [
        "exec",
        "-i",
        "metamcp",
        "sh",
        "-c",
        "node /opt/servers/server-memory.js; true",
    ];
    let mut client = docker.command(30, &server);
    client.stdin(Stdio::piped()).stdout(Stdio::piped());
    client.stderr(Stdio::null());
    let mut client = client.spawn().context("docker exec -i")?;
    let mut input = client.stdin.take().context("no pipe to docker")?;
    writeln!(input, "{HELLO}")?;
    drop(input);
    let said = client.wait_with_output()?.stdout;
    let said = String::from_utf8_lossy(&said);
    ensure!(said.contains("serverInfo"), "docker exec -i: {said:?}");
    Ok(())
}

/// One entry from outside may have twelve processes: its next program is refused, and neither
/// another entry nor the health check has less for that.
pub fn budgets() -> Result<()> {
    const BUDGET: u64 = 12;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("metamcp")?;
    let gate = format!("max_processes = 400\nguest_processes = {BUDGET}");
    let guard = guard_with(stage, &gate)?;
    let command = [&stage.image, "sh", "-c", "sleep 600; true"];
    let options = [&HEALTH, command.as_slice()].concat();
    let container = Container::run(&stage.docker, &parent, "metamcp", &options)?;
    // The shell and eleven sleepers; when it is told to, one more program, and the end.
    let all = "for i in 1 2 3 4 5 6 7 8 9 10 11; do sleep 600 <&- >&- 2>&- & done; read line; /bin/echo ran; echo code $?; read line";
    let mut holder = stage
        .docker
        .command(60, &["exec", "-i", "metamcp", "sh", "-c", all]);
    holder.stdin(Stdio::piped()).stdout(Stdio::piped());
    holder.stderr(Stdio::null());
    let mut holder = holder.spawn().context("docker exec -i")?;
    let mut tell = holder.stdin.take().context("no pipe to docker")?;
    until(&guard, "it has its budget", |target| {
        target["counts"]["guests"].as_u64() >= Some(BUDGET) && target["asked"] == true
    })?;
    writeln!(tell, "go on")?;
    until(&guard, "its next program is refused", |target| {
        target["counts"]["denied"] == 1
    })?;
    // While it holds all of its budget.
    for _ in 0..3 {
        let said = container.exec(&PIPELINE)?;
        same("another entry", said.as_str(), "one two")?;
    }
    eventually("healthy", SOON, || Ok(healthy(&container).is_ok()))?;
    let counts = &guard.target()?["counts"];
    same("refused", &counts["denied"], &1.into())?;
    same("killed", &counts["killed"], &0.into())?;
    drop(tell);
    let said = holder.wait_with_output()?.stdout;
    let said = String::from_utf8_lossy(&said);
    same("what its shell says", said.trim(), "code 126")?;
    guard.agent.stop_cleanly().map(drop)
}

/// The container's first shell still starts programs when its gateway may start none, up to the cap.
pub fn reserve() -> Result<()> {
    const FIT: u64 = 2;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let parent = Parent::new("metamcp")?;
    // The shell, the gateway, two servers of one process each.
    let cap = RESERVE + 2 + FIT * SLOTS;
    let guard = guard(stage, cap)?;
    let files = [
        ("shell.sh", "while read -r line; do eval \"$line\"; done"),
        ("fill.js", include_str!("../../gateways/fill.js")),
    ];
    let command = [stage.image.as_str(), "sh", "/opt/told/shell.sh"];
    let mut shell = Told::start(&stage.docker, &parent, "metamcp", &files, &command)?;
    let full = format!("{FIT} EAGAIN");
    let first = shell.say("node /opt/told/fill.js & gateway=$!")?;
    same("servers", &first, &full)?;
    same(
        "a program of the shell",
        shell.say("/bin/true; echo $?")?.as_str(),
        "0",
    )?;
    for _ in 0..RESERVE {
        shell.say("sleep 600 & last=$!; echo started")?;
    }
    until(&guard, "at the cap", |target| {
        target["committed"] == cap && target["counts"]["live"] == 2 + FIT + RESERVE
    })?;
    same(
        "one too many",
        shell.say("/bin/true; echo $?")?.as_str(),
        "126",
    )?;
    let freed = "kill $last; wait $last; /bin/true; echo $?";
    same("in the reserve again", shell.say(freed)?.as_str(), "0")?;
    // What the shell has given back is not the gateway's.
    same("servers still", &shell.say("kill -USR2 $gateway")?, &full)?;
    same("killed", &guard.target()?["counts"]["killed"], &0.into())?;
    guard.agent.stop_cleanly().map(drop)
}
