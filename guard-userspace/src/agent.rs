//! The agent: sees to it that it can work and survives what it guards against, then follows the
//! kernel, the targets and the clock in one loop.

pub mod clock;
mod contents;
mod follow;
mod guard;
pub mod lock;
mod places;
mod proving;
mod report;
mod rounds;
mod signals;
mod survive;

use crate::cli::args::LogFormat;
use crate::cli::{Code, Failure};
use crate::config::{Config, Mode};
use crate::evidence::cgroup::cgroup_v2_mount;
use crate::evidence::process;
use crate::kernel::Kernel;
use crate::kernel::reader::{self, Reader};
use crate::sinks::log;
use crate::targets::Endpoint;
use anyhow::{Context, anyhow};
use follow::Follow;
use guard::Guard;
use lock::Lock;
use rounds::Mailbox;
use signals::Signals;
use std::path::PathBuf;
use survive::Home;

/// How the agent runs, beside its configuration.
#[derive(Debug)]
pub struct Options {
    /// Where it answers commands.
    pub socket: PathBuf,
    /// How it logs.
    pub log_format: LogFormat,
    /// The file its configuration is from; `None`: the defaults.
    pub config_file: Option<PathBuf>,
}

/// Guards until stopped by SIGTERM or SIGINT.
///
/// # Errors
/// What it could not do, with the exit code.
pub fn run(config: Config, options: Options) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        let error = anyhow!(
            "guarding needs root, since it is done in the kernel: run it through sudo, or see it \
             in a virtual machine: cargo xtask vm --kernel 6.12 -- metamcp-guard run --demo"
        );
        return Err(Failure::new(Code::NoPermission, error));
    }
    if process::sees_host_pids() == Some(false) {
        let error = anyhow!(
            "this is a pid namespace of its own, in which the kernel's pids mean nothing: run it on \
             the host, or in a container started with --pid=host"
        );
        return Err(Failure::new(Code::KernelLacks, error));
    }
    if let Some(seconds) = process::clocks_ahead().filter(|seconds| *seconds != 0) {
        let error = anyhow!(
            "this is a time namespace of its own, whose clocks since boot are {seconds} s off the kernel's, so \
             that no process's start is known for sure: run it in the host's"
        );
        return Err(Failure::new(Code::KernelLacks, error));
    }
    let v2_mount = cgroup_v2_mount().map_err(|error| Failure::new(Code::KernelLacks, error))?;
    let mut targets = config.targets.iter();
    let asks_docker = targets.any(|target| target.source.is_container());
    let endpoint = match Endpoint::from_env() {
        Ok(endpoint) => endpoint,
        Err(error) if asks_docker => return Err(Failure::new(Code::Usage, error)),
        // Nobody asks there.
        Err(_) => Endpoint::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    // Before there is anything that would be left behind.
    let signals = {
        let _inside = runtime.enter();
        Signals::listen().context("cannot listen for signals")?
    };
    let _lock = Lock::take(&options.socket)?;
    let log = log::start(match options.log_format {
        LogFormat::Text => log::LogFormat::Text,
        LogFormat::Json => log::LogFormat::Json,
    });
    let from = options.config_file.as_deref();
    tracing::info!(
        event = "started",
        version = env!("CARGO_PKG_VERSION"),
        targets = config.targets.len(),
        config = from.map(|path| path.display().to_string()),
        "metamcp-guard {} begins",
        env!("CARGO_PKG_VERSION")
    );
    let _home = Home::enter(&v2_mount);
    let (kernel, mut ring) = Kernel::load(config.mode == Mode::Enforce)
        .map_err(|error| Failure::new(Code::KernelLacks, error))?;
    if kernel.is_adopted() {
        let records = reader::pass_over(&mut ring);
        tracing::info!(
            event = "adopted",
            records,
            "the gate that an earlier agent left at work is taken over with all its counts; {records} \
             records of single events in between are passed over"
        );
    }
    let mailbox = Mailbox::new();
    let reader =
        Reader::start(ring, mailbox.wakes()).context("no thread to read the kernel's events")?;
    let guard = Guard::new(config, kernel, v2_mount, mailbox)
        .context("no thread to go round the targets")?;
    let follow = Follow {
        guard,
        reader,
        endpoint,
        signals,
    };
    runtime.block_on(follow.until_told(&options.socket, &log));
    Ok(())
}
