//! `cargo xtask vm`: one command on one of Debian's kernels, in QEMU, without KVM and without
//! touching this machine.

mod cpio;
mod image;
mod kernel;
mod qemu;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{agent, apt, step};

pub use qemu::{Ended, Line};

/// Megabytes of a machine that runs no more than the guard and its storms.
pub const MEMORY: u32 = 1536;

/// CPUs of a machine: two, so that events can meet.
pub const CPUS: u32 = 2;

/// What runs where.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Debian's kernel of this version (its cloud flavour; the newest that begins so).
    #[arg(long, value_name = "V", default_value = "6.12")]
    pub kernel: String,
    /// More kernel parameters, `preempt=full` for instance.
    #[arg(long, value_name = "CMDLINE", default_value = "")]
    pub append: String,
    /// The kernel's `lsm=` list; without it Debian's own, which has bpf in it.
    #[arg(long, value_name = "LIST")]
    pub lsm: Option<String>,
    /// Files to have in /payload, which is in PATH; libraries they need come along. Folders as they are.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub payload: Vec<PathBuf>,
    /// Variables of the command's environment.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Modules of that kernel, loaded before the command. One that needs others must come behind them.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub module: Vec<String>,
    /// The machine's memory. The payload is held in it.
    #[arg(long, value_name = "MB", default_value_t = MEMORY)]
    pub memory: u32,
    /// The machine's CPUs.
    #[arg(long, value_name = "N", default_value_t = CPUS)]
    pub cpus: u32,
    /// The v1 cgroup controllers too, with the v2 hierarchy beside them, as older systemd had it.
    #[arg(long)]
    pub hybrid: bool,
    /// A real systemd is its first process, and the command a service of it.
    #[arg(long)]
    pub systemd: bool,
    /// Seconds until the machine is given up.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
    /// The command and its arguments. `metamcp-guard` is built for it; other programs are taken
    /// from the payload or from this machine.
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

/// Builds what is missing, boots, runs the command, and returns its exit code.
pub fn main(options: &Options) -> Result<i32> {
    let ended = run(options, &mut |line| match line {
        Line::Output(text) => println!("{text}"),
        Line::Notice(text) => step::say(text),
    })?;
    Ok(ended.code)
}

/// As [`main`], but hands each line to the caller.
///
/// # Errors
/// No kernel or QEMU can be had, or the machine gave no verdict: panicked, hung or timed out. A
/// command that fails is no error: its exit code says so.
pub fn run(options: &Options, each: &mut dyn FnMut(Line<'_>)) -> Result<Ended> {
    apt::ensure_programs(
        &[("qemu-system-x86_64", "qemu-system-x86")],
        "running a kernel of our choice in a virtual machine",
    )?;
    let kernel = kernel::ensure(&options.kernel)?;
    let mut payload = options.payload.clone();
    let Some(program) = options.command.first() else {
        bail!("no command for the machine")
    };
    if program == "metamcp-guard" && !payload.iter().any(|file| file.ends_with(program)) {
        payload.push(agent::build(&agent::Options::static_release())?);
    }
    let mut modules = Vec::new();
    for name in &options.module {
        modules.push(kernel::module(&options.kernel, name)?);
    }
    if options.systemd {
        apt::ensure_programs(&[("systemctl", "systemd")], "a machine with a real systemd")?;
    }
    let initrd = image::build(&image::Contents {
        systemd: options.systemd,
        payload: &payload,
        modules: &modules,
        command: &options.command,
        environment: &options.env,
    })?;
    let mut parameters = options.append.clone();
    if let Some(list) = &options.lsm {
        parameters = format!("{parameters} lsm={list}");
    }
    if options.hybrid {
        parameters.push_str(" vm-init.hybrid");
    }
    let machine = qemu::Machine {
        kernel: &kernel,
        initrd: initrd.path(),
        parameters: parameters.trim(),
        memory: options.memory,
        cpus: options.cpus,
        timeout: Duration::from_secs(options.timeout),
    };
    machine.run(each)
}
