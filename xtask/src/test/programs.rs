//! Running test programs: through cargo, straight, or in a virtual machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::test::docker;
use crate::test::suites::{Binary, Machine};
use crate::test::tally::Tally;
use crate::{agent, apt, lines, step, vm, workspace};

/// Where a test program finds the agent.
pub const AGENT: &str = "GUARD_AGENT";

/// Everything below this may take: the host's tests.
const HOST_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Unit, property and documentation tests of the host crates. Not the test programs of
/// `guard-tests`: those are suites of their own.
pub fn host() -> Result<Tally> {
    let mut tally = Tally::default();
    let mut units = cargo_test()?;
    units.args(["--no-fail-fast", "--lib", "--bins"]);
    through_cargo(&mut units, "unit tests", &mut tally)?;
    let mut examples = cargo_test()?;
    examples.args(["--no-fail-fast", "--doc"]);
    through_cargo(&mut examples, "examples in the documentation", &mut tally)?;
    Ok(tally)
}

/// `cargo test` of all host crates, linked statically, so that one program runs here and in a
/// machine. Always the same crates with the same flags: cargo builds what they stand on once, for
/// unit tests and test programs alike.
fn cargo_test() -> Result<Command> {
    apt::ensure(&["libc6-dev"], "linking test programs statically")?;
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--workspace", "--exclude", "guard-ebpf"]);
    agent::statically(&mut cargo);
    Ok(cargo)
}

fn through_cargo(command: &mut Command, name: &str, tally: &mut Tally) -> Result<()> {
    let mut one = Tally::default();
    let status = lines::stream(command, HOST_LIMIT, &mut |line| {
        println!("{line}");
        one.line(line);
    })?;
    one.ended(name, status.map(|status| status.success()));
    tally.add(&one);
    Ok(())
}

/// A test program of `guard-tests`, here or in its machine.
pub fn binary(suite: &Binary) -> Result<Tally> {
    if suite.machine.is_none() && !rustix::process::geteuid().is_root() {
        let mut tally = Tally::default();
        tally.skip("cannot here: needs root for cgroups and BPF; run it through sudo");
        return Ok(tally);
    }
    apt::ensure_programs(suite.programs, "this suite")?;
    let built = build(suite.test)?;
    // One agent for all suites: that of the machines, which have no C library.
    let agent = agent::build(&agent::Options::static_release())?;
    let mut tally = Tally::default();
    let success = match &suite.machine {
        None => here(&built, &agent, suite, &mut tally)?,
        Some(machine) => in_machine(&built, agent, suite, machine, &mut tally)?,
    };
    tally.ended(suite.test, success);
    Ok(tally)
}

fn here(built: &Built, agent: &Path, suite: &Binary, tally: &mut Tally) -> Result<Option<bool>> {
    let mut command = Command::new(&built.program);
    command.current_dir(workspace::root().join("tests"));
    command
        .env(AGENT, agent)
        .envs(suite.environment.iter().copied().filter(not_told));
    let status = lines::stream(&mut command, suite.timeout, &mut |line| {
        println!("{line}");
        tally.line(line);
    })?;
    Ok(status.map(|status| status.success()))
}

/// How many storms there are is the caller's to say, where it says so.
fn not_told((name, _): &(&str, &str)) -> bool {
    *name != "GUARD_STORMS" || std::env::var_os(name).is_none()
}

fn in_machine(
    built: &Built,
    agent: PathBuf,
    suite: &Binary,
    machine: &Machine,
    tally: &mut Tally,
) -> Result<Option<bool>> {
    let mut env: Vec<String> = suite
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    env.push(format!("{AGENT}=/payload/metamcp-guard"));
    let mut options = vm::Options {
        kernel: machine.kernel.to_owned(),
        append: String::new(),
        lsm: machine.lsm.map(str::to_owned),
        payload: built.payload(agent),
        env,
        module: Vec::new(),
        memory: vm::MEMORY,
        cpus: vm::CPUS,
        hybrid: false,
        systemd: machine.systemd,
        timeout: suite.timeout.as_secs(),
        command: built.command(),
    };
    if machine.docker {
        docker::add(&mut options, &built.program)?;
    }
    let mut emulated = false;
    let once = |tally: &mut Tally, emulated: &mut bool| {
        vm::run(&options, &mut |line| match line {
            vm::Line::Output(text) => {
                println!("{text}");
                tally.line(text);
            }
            vm::Line::Notice(text) => {
                *emulated |= text.contains(INT3);
                step::say(text);
            }
        })
    };
    let mut ended = once(tally, &mut emulated);
    if ended.is_err() && emulated {
        step::say("that is the emulation's doing, not the kernel's: trying once more");
        *tally = Tally::default();
        ended = once(tally, &mut emulated);
    }
    Ok(Some(ended?.code == 0))
}

/// An emulated CPU that meets a breakpoint which another one has taken away already, while the kernel changes
/// its own code (text_poke_bp, arch/x86/kernel/alternative.c): seen in 2 of some 60 machines of 6.12.
const INT3: &str = "Oops: int3";

/// A test program and the programs that it starts beside the agent: the storms.
#[derive(Debug, PartialEq, Eq)]
pub struct Built {
    program: PathBuf,
    helpers: Vec<PathBuf>,
}

impl Built {
    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What a machine needs of it, with the agent.
    pub fn payload(&self, agent: PathBuf) -> Vec<PathBuf> {
        let programs = std::iter::once(&self.program).chain(&self.helpers);
        programs.cloned().chain([agent]).collect()
    }

    /// How a machine runs it.
    pub fn command(&self) -> Vec<String> {
        let name = self.program.file_name().unwrap_or_default();
        vec![format!("/payload/{}", name.to_string_lossy())]
    }
}

/// Builds a test program and its helpers.
pub fn build(test: &str) -> Result<Built> {
    let mut cargo = cargo_test()?;
    cargo.args(["--no-run", "--test", test]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    let messages = step::output(&mut cargo)?;
    built(&messages, "test", test)
        .with_context(|| format!("cargo built no program for tests/tests/{test}.rs"))
}

/// Builds a bench and its helpers, optimised.
pub fn build_bench(bench: &str) -> Result<Built> {
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--package", "guard-tests", "--bench", bench]);
    agent::statically(&mut cargo);
    cargo.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let messages = step::output(&mut cargo)?;
    built(&messages, "bench", bench)
        .with_context(|| format!("cargo built no program for tests/benches/{bench}.rs"))
}

/// The program of that kind and name in cargo's messages, and the other programs beside it.
fn built(messages: &str, wanted: &str, test: &str) -> Option<Built> {
    let programs: Vec<(String, String, PathBuf)> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let target = message.get("target")?;
            let kind = target.get("kind")?.get(0)?.as_str()?.to_owned();
            let name = target.get("name")?.as_str()?.to_owned();
            Some((
                kind,
                name,
                PathBuf::from(message.get("executable")?.as_str()?),
            ))
        })
        .collect();
    let (_, _, program) = programs
        .iter()
        .find(|(kind, name, _)| kind == wanted && name == test)?;
    let helpers = programs
        .iter()
        .filter(|(kind, ..)| kind == "bin")
        .map(|(_, _, path)| path.clone());
    Some(Built {
        program: program.clone(),
        helpers: helpers.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_program_and_its_helpers_are_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"kernel"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"storm"},"executable":"/t/storm"}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"kernel"},"executable":"/t/kernel-1"}
{"reason":"build-finished","success":true}"#;
        let expected = Built {
            program: PathBuf::from("/t/kernel-1"),
            helpers: vec![PathBuf::from("/t/storm")],
        };
        assert_eq!(built(messages, "test", "kernel"), Some(expected));
        assert_eq!(built(messages, "test", "docker"), None);
    }
}
