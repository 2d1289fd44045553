//! `run --demo`: twenty seconds that show the gate holding, on a storm of its own.
//!
//! What is shown is the product itself: the agent that `run` starts, told by a config file to guard
//! a cgroup, first watching only and then with the gate; in the cgroup a gateway that leaks. The
//! numbers are what the agent logs for everyone.

mod agent;
mod gateway;
mod interrupt;
pub mod part;
mod screen;
mod stage;
mod summary;

pub use part::Part as Program;

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::cli::{Code, Failure};
use crate::kernel::stats::Timed;
use agent::{Agent, number};
use gateway::Seen;
use interrupt::Interrupt;
use screen::{Screen, Second};
use stage::Stage;
use summary::{Part, Summary};

/// The limit: twenty servers of three processes, the gateway, and nothing to spare.
const CAP: u64 = 61;
/// A session comes this often.
const SESSION_EVERY_MS: u64 = 400;
/// How long the storm is watched, and how long the gate holds it.
const WATCHED_SECONDS: u64 = 8;
const GUARDED_SECONDS: u64 = 12;
/// Columns of the summary's text.
const WIDTH: usize = 74;

/// The same in a machine of its own, for a host that does not allow it.
const IN_A_VM: &str = "cargo xtask vm --kernel 6.12 -- metamcp-guard run --demo";

/// Runs the demo. It takes about half a minute and leaves nothing behind.
///
/// # Errors
/// Why this host cannot show it, with the command that shows it in a VM.
pub fn run() -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        let error = anyhow!(
            "the demo needs root, since the gate is in the kernel: start it through sudo, or see it \
             in a virtual machine, which needs none: {IN_A_VM}"
        );
        return Err(Failure::new(Code::NoPermission, error));
    }
    let interrupt = Interrupt::listen()?;
    match show(&interrupt) {
        Err(_) if interrupt.came() => {
            println!("\n  Stopped early. Nothing is left of it.");
            Ok(())
        }
        shown => shown.map_err(|error| {
            let code = code_of(&error);
            let text = format!("{error:#}").replace("metamcp-guard: ", "");
            let error = anyhow!(
                "the demo cannot run on this host: {text}\nIn a virtual machine it can: {IN_A_VM}"
            );
            Failure::new(code, error)
        }),
    }
}

/// The agent's own code where it was the agent that could not.
fn code_of(error: &anyhow::Error) -> Code {
    let ended = error.downcast_ref::<agent::Ended>();
    match ended.and_then(|ended| ended.status.code()) {
        Some(3) => Code::NoPermission,
        Some(6) => Code::Held,
        Some(5) => Code::KernelLacks,
        _ => Code::CheckFailed,
    }
}

fn show(interrupt: &Interrupt) -> Result<()> {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut screen = Screen {
        cap: CAP,
        full: 200,
        gated: false,
        colour,
    };
    println!(
        "{}",
        screen.title("metamcp-guard: a gateway that leaks, without and with the gate")
    );
    println!();
    say(&format!(
        "Every {SESSION_EVERY_MS} ms a client opens a session and goes away. For each session the \
         gateway starts {} MCP servers, three processes each (npm exec, sh, node), and never ends \
         one. All of it happens in a cgroup of the demo's own.",
        gateway::SERVERS.len(),
    ));
    let (watched, _) = part(
        &screen,
        "Watching only: nothing is refused",
        WATCHED_SECONDS,
        interrupt,
    )?;
    screen.gated = true;
    let title = format!("With the gate: at most {CAP} processes");
    let (guarded, mode) = part(&screen, &title, GUARDED_SECONDS, interrupt)?;

    println!("\n{}\n", screen.title("What it came to"));
    let summary = Summary {
        cap: CAP,
        mode,
        watched,
        guarded,
    };
    for (heading, text) in summary.paragraphs() {
        let mut heading = heading;
        for line in summary::wrap(&text, WIDTH) {
            println!("  {heading:<17} {line}");
            heading = "";
        }
    }
    println!("\n  Nothing is left of it. To guard a container: metamcp-guard run --container NAME");
    Ok(())
}

/// One storm under one agent, a line per second.
fn part(
    screen: &Screen,
    title: &str,
    seconds: u64,
    interrupt: &Interrupt,
) -> Result<(Part, String)> {
    // What the kernel side costs is only counted while somebody wants to know.
    let _timed = Timed::start();
    let stage = Stage::new(if screen.gated { "gate" } else { "watch" })?;
    let config = stage.folder().join("config.toml");
    fs::write(&config, config_for(&stage)).context("cannot write the agent's config")?;
    let socket = stage.folder().join("agent.sock");
    println!("\n{}\n\n{}", screen.title(title), screen.heading());

    let mut agent = Agent::start(&config, &socket, screen.gated, interrupt)?;
    let cpu_before = agent.cpu()?;
    let began = Instant::now();
    let mut gateway = start_gateway(&stage, seconds)?;
    let mut part = Part::default();
    let end = began + Duration::from_secs(seconds);
    let mut live = 0;
    let mut at = 0;
    // The line of a second comes with the first event of the next one.
    while let Some(line) = agent.next(end + Duration::from_millis(1_500))? {
        if line.get("event").is_none_or(|event| event != "spawn_rate") || at == seconds {
            continue;
        }
        at += 1;
        let second = second(&line, at, live, screen);
        live = second.live;
        part.tasks = part.tasks.max(second.tasks);
        println!("{}", screen.line(&second));
        if at == seconds {
            break;
        }
    }
    part.lasted = Duration::from_secs(seconds);
    part.agent_cpu = agent.cpu()?.saturating_sub(cpu_before);
    part.gateway = finish(&mut gateway)?;
    exact(&mut part, &agent.status(&socket)?, screen.gated);
    let mode = agent.mode.clone();
    agent.stop()?;
    Ok((part, mode))
}

/// What the agent's log says of a second.
fn second(line: &Value, at: u64, live_before: u64, screen: &Screen) -> Second {
    let live = number(line, "live");
    let over_now = |live: u64| live.saturating_sub(screen.cap);
    Second {
        at,
        live,
        tasks: number(line, "tasks"),
        spawns: number(line, "spawns"),
        over: if screen.gated {
            number(line, "denied") + number(line, "killed")
        } else {
            over_now(live).saturating_sub(over_now(live_before))
        },
    }
}

/// The kernel's own totals, which the lines only sample.
fn exact(part: &mut Part, status: &Value, gated: bool) {
    let empty = Value::Null;
    let counts = status.pointer("/targets/0/counts").unwrap_or(&empty);
    part.peak = number(counts, "peak_live");
    part.spawns = number(counts, "spawns");
    part.over = if gated {
        // In `lsm` none is condemned; in `deny` all that are denied were condemned before.
        number(counts, "denied").max(number(counts, "condemned"))
    } else {
        number(counts, "would_refuse")
    };
    let programs = status.get("programs").and_then(Value::as_array);
    // Those that run for each process; the others run when cgroups come and go.
    let ns: u64 = programs
        .into_iter()
        .flatten()
        .filter(|program| {
            let name = program
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            name.starts_with("task_") || name.starts_with("sched_")
        })
        .filter_map(|program| number(program, "run_ns").checked_div(number(program, "runs")))
        .sum();
    part.ns_per_process = ns;
}

/// The agent's config: what an operator would write for a cgroup with a gateway, whose servers are
/// three processes.
fn config_for(stage: &Stage) -> String {
    // Paths of our own making: no quote or backslash is in them.
    format!(
        "state_dir = \"{folder}\"\non_agent_exit = \"release\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n\
         [[target]]\nname = \"demo\"\ncgroup = \"{cgroup}\"\n\
         protect = ['^node {gateway}']\n\
         [target.gate]\nmax_processes = {CAP}\nspawn_rate = 1000\nspawn_burst = 1000\n\
         tree = {{ processes = 3, spawns = 3 }}\n",
        gateway = gateway::PROGRAM.replace('.', "\\."),
        folder = stage.folder().display(),
        cgroup = stage.cgroup().display(),
    )
}

fn start_gateway(stage: &Stage, seconds: u64) -> Result<Child> {
    let (every, seconds) = (SESSION_EVERY_MS.to_string(), seconds.to_string());
    let cgroup = stage.cgroup().display().to_string();
    Program::Entrance
        .command(&["node", gateway::PROGRAM, &every, &seconds, &cgroup])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the storm")
}

/// Lets the gateway go home, and takes what it saw.
fn finish(gateway: &mut Child) -> Result<Seen> {
    let out = gateway.stdout.take().context("no pipe from the gateway")?;
    let mut line = String::new();
    BufReader::new(out)
        .read_line(&mut line)
        .context("reading from the gateway")?;
    drop(gateway.stdin.take());
    gateway.wait().context("waiting for the gateway")?;
    serde_json::from_str(&line).with_context(|| format!("the gateway said {line:?}"))
}

fn say(text: &str) {
    for line in summary::wrap(text, WIDTH + 18) {
        println!("{line}");
    }
}
