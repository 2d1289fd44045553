//! `cargo xtask test --matrix`: what each mode holds on which kernel, as a table. A command of its
//! own: no suite waits for it.
//!
//! A cell is one machine. What it says is kept in `docs/kernels` until it is run again, so that some cells
//! can be run by name; `docs/kernels.md` is made of what is kept.

mod cells;
mod systemd;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::test::programs::{self, Built};
use crate::test::suites;
use crate::{agent, bpf, step, vm, workspace};
use cells::{CELLS, Cell};

/// Begins a line of `tests/tests/kernel/matrix.rs`.
const MARK: &str = "@@matrix ";

/// A machine that has said nothing by then is given up. Where counts go wrong each mode waits a minute
/// for gauges that never come to 0: 127 to 134 s for each of four modes on 7.3 under confidentiality.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Runs these cells, or all, and writes the table of what is known.
///
/// # Errors
/// No such cell, or nothing can be built or written.
pub fn run(names: &[String]) -> Result<ExitCode> {
    let mut chosen = Vec::new();
    let docker = names.is_empty() || names.iter().any(|name| name == systemd::NAME);
    for name in names.iter().filter(|name| *name != systemd::NAME) {
        match CELLS.iter().find(|cell| cell.name == name) {
            Some(cell) => chosen.push(cell),
            None => bail!("the matrix has no cell `{name}`; it has: {}", all_names()),
        }
    }
    if names.is_empty() {
        chosen.extend(CELLS);
    }
    bpf::objects(None)?;
    let mut broken = 0;
    if docker {
        broken += u32::from(!systemd::run()?);
    }
    if chosen.is_empty() {
        write()?;
        return Ok(ended(broken));
    }
    let built = programs::build(suites::KERNEL_TEST)?;
    let agent = agent::build(&agent::Options::static_release())?;
    for cell in chosen {
        step::say(&format!("cell {}: {}", cell.name, cell.why));
        let seen = one(cell, &built, agent.clone());
        broken += u32::from(seen.get("failed").is_some());
        keep(cell.name, &seen)?;
    }
    write()?;
    Ok(ended(broken))
}

fn ended(broken: u32) -> ExitCode {
    if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Writes the table of what is known, and prints it.
///
/// # Errors
/// It cannot be written.
pub fn write() -> Result<()> {
    let known: Vec<(&Cell, Option<Value>)> =
        CELLS.iter().map(|cell| (cell, known(cell.name))).collect();
    let text = format!("{}{}", table::markdown(&known), systemd::section());
    println!("{text}");
    let file = workspace::root().join("docs/kernels.md");
    fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    step::say(&format!("written to {}", file.display()));
    Ok(())
}

fn all_names() -> String {
    let cells = CELLS.iter().map(|cell| cell.name);
    let names: Vec<_> = cells.chain([systemd::NAME]).collect();
    names.join(", ")
}

/// Where a cell's figures are kept.
fn place(name: &str) -> PathBuf {
    let folder = workspace::root().join("docs/kernels");
    folder.join(format!("{name}.json"))
}

/// A line for each of its trials.
fn keep(name: &str, seen: &Value) -> Result<()> {
    let place = place(name);
    fs::create_dir_all(place.parent().unwrap_or(&place))?;
    let text = seen.to_string().replace(",{", ",\n{");
    fs::write(&place, format!("{text}\n"))
        .with_context(|| format!("cannot write {}", place.display()))
}

fn known(name: &str) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(place(name)).ok()?).ok()
}

/// Boots a cell and hears what its trials say. A machine that gives no verdict is a result too.
fn one(cell: &Cell, built: &Built, agent: PathBuf) -> Value {
    let options = vm::Options {
        kernel: cell.kernel.to_owned(),
        append: cell.parameters.to_owned(),
        lsm: cell.lsm.map(str::to_owned),
        payload: built.payload(agent),
        env: vec![
            format!("{}=/payload/metamcp-guard", programs::AGENT),
            "GUARD_TRIALS=matrix".to_owned(),
        ],
        module: Vec::new(),
        memory: vm::MEMORY,
        cpus: cell.cpus,
        hybrid: cell.hybrid,
        systemd: false,
        timeout: LIMIT.as_secs(),
        command: built.command(),
    };
    let started = Instant::now();
    // What it is built from, whatever is committed while it runs.
    let commit = output("git", &["rev-parse", "--short", "HEAD"]);
    let mut lines = Vec::new();
    let mut said = Vec::new();
    let ended = vm::run(&options, &mut |line| match line {
        vm::Line::Output(text) => match text.split_once(MARK) {
            Some((_, line)) => lines.extend(serde_json::from_str::<Value>(line)),
            None => println!("{text}"),
        },
        vm::Line::Notice(text) => {
            step::say(text);
            said.push(text.to_owned());
        }
    });
    let mut seen = json!({
        "date": output("date", &["-u", "+%F"]),
        "commit": commit,
        "seconds": started.elapsed().as_secs(),
        "lines": lines,
        "notices": said,
    });
    let failed = match ended {
        Ok(vm::Ended { code: 0 }) => None,
        Ok(vm::Ended { code }) => Some(format!("its trials ended with code {code}")),
        Err(why) => Some(format!("{why:#}").lines().take(1).collect()),
    };
    if let (Some(all), Some(why)) = (seen.as_object_mut(), failed) {
        step::say(&format!("cell {}: {why}", cell.name));
        all.insert("failed".to_owned(), why.into());
    }
    seen
}

fn output(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root());
    step::output(&mut command)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}
