//! `cargo xtask bench`: what the guard costs on this machine, with the budgets beside it.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::test::programs;
use crate::{agent, apt, step, vm};

/// What is to be measured.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Parts of it (default: all): programs, forks, execs, storm, health, agent, adoption, bpftrace, reaction,
    /// refused (in a virtual machine).
    parts: Vec<String>,
    /// Rounds; each figure is their median.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// One line of JSON instead of tables; one more for what is measured in a virtual machine.
    #[arg(long)]
    json: bool,
}

/// Runs in a machine: this one's kernel may not let BPF refuse a fork.
const REFUSED: &str = "refused";
/// The machine's kernel.
const KERNEL: &str = "6.12";
/// Longest for all rounds there.
const LIMIT: u64 = 20 * 60;

/// Builds agent and bench (release) and runs it. A missed budget is said and no failure.
pub fn run(options: &Options) -> Result<ExitCode> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "measuring needs root for cgroups and BPF: run it through sudo"
    );
    apt::ensure(&["libc6-dev"], "linking the agent statically")?;
    let named =
        |name: &str| options.parts.is_empty() || options.parts.iter().any(|part| part == name);
    if named("bpftrace") {
        apt::ensure_programs(
            &[("bpftrace", "bpftrace")],
            "counting by it, beside the guard",
        )?;
    }
    if named("health") {
        apt::ensure_programs(&[("node", "nodejs")], "a gateway with its servers")?;
    }
    let agent = agent::build(&agent::Options::static_release())?;
    let built = programs::build_bench("kernel")?;
    let mut words = vec!["--rounds".to_owned(), options.rounds.to_string()];
    words.extend(options.json.then(|| "--json".to_owned()));
    let here: Vec<_> = options
        .parts
        .iter()
        .filter(|part| *part != REFUSED)
        .collect();
    if options.parts.is_empty() || !here.is_empty() {
        let mut bench = Command::new(built.program());
        bench.args(&words).args(here).env(programs::AGENT, &agent);
        step::run(&mut bench)?;
    }
    if named(REFUSED) {
        refused(&built, agent, words)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// That part, in a machine.
fn refused(built: &programs::Built, agent: PathBuf, words: Vec<String>) -> Result<()> {
    let mut command = built.command();
    command.extend(words);
    command.push(REFUSED.to_owned());
    let code = vm::main(&vm::Options {
        kernel: KERNEL.to_owned(),
        append: String::new(),
        lsm: None,
        payload: built.payload(agent),
        env: vec![format!("{}=/payload/metamcp-guard", programs::AGENT)],
        module: Vec::new(),
        memory: vm::MEMORY,
        cpus: vm::CPUS,
        hybrid: false,
        systemd: false,
        timeout: LIMIT,
        command,
    })?;
    ensure!(code == 0, "the bench in the machine ended with code {code}");
    Ok(())
}
