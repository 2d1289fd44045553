//! Gathers what the checks look at. Nothing is judged here; what cannot be read is `None`.

use super::docker::{self, Docker};
use crate::evidence::cgroup::{self, Layout};
use crate::evidence::{mounts, process};
use crate::kernel::deny::Refusal;
use crate::kernel::deny::probe::probe;
use procfs::process::Process;
use procfs::{ConfigSetting, Current};
use std::fs;
use std::path::{Path, PathBuf};

/// What this host is like.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Effective user id is 0.
    pub root: bool,
    /// Effective capabilities, one bit each.
    pub capabilities: Option<u64>,
    /// In the host's own pid namespace.
    pub host_pids: Option<bool>,
    /// As `uname -r` says it.
    pub release: String,
    /// The kernel's type information is there.
    pub btf: bool,
    /// Active security modules, in order.
    pub lsm: Option<Vec<String>>,
    /// Lockdown mode in force: `none`, `integrity`, `confidentiality`.
    pub lockdown: Option<String>,
    /// Where tracefs is mounted.
    pub tracefs: Option<PathBuf>,
    /// The scheduler's events can be read there.
    pub events: bool,
    /// bpffs is mounted at /sys/fs/bpf.
    pub bpffs: bool,
    /// How cgroups are mounted.
    pub cgroups: Option<Layout>,
    /// The Docker daemon.
    pub docker: Docker,
    /// Yama's restriction of ptrace; `None`: no Yama.
    pub ptrace_scope: Option<u8>,
    /// The kernel is built with fanotify's permission events.
    pub fanotify: Option<bool>,
    /// What a denied exec says, found out by an exec of our own; or why none can be denied.
    pub deny: Result<Refusal, String>,
    /// CPUs this process may run on.
    pub cpus: usize,
}

impl Facts {
    /// Looks at this host. Takes at most a few seconds, if Docker does not answer.
    #[must_use]
    pub fn gather() -> Self {
        let myself = Process::myself().ok();
        let mounts = mounts::here().ok();
        let mounted = |kind: &str| {
            let mut mounts = mounts.as_ref()?.iter();
            mounts
                .find(|mount| mount.fs_type == kind)
                .map(|mount| mount.mount_point.clone())
        };
        let tracefs = mounted("tracefs");
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            root: rustix::process::geteuid().is_root(),
            capabilities: myself
                .as_ref()
                .and_then(|me| me.status().ok())
                .map(|status| status.capeff),
            host_pids: process::sees_host_pids(),
            release: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            lsm: read("/sys/kernel/security/lsm").map(|list| words(&list)),
            lockdown: read("/sys/kernel/security/lockdown").and_then(|modes| chosen(&modes)),
            events: tracefs.as_deref().is_some_and(has_events),
            tracefs,
            bpffs: mounted("bpf").is_some_and(|at| at == Path::new("/sys/fs/bpf")),
            cgroups: cgroup::layout().ok(),
            docker: docker::look(),
            ptrace_scope: read("/proc/sys/kernel/yama/ptrace_scope")
                .and_then(|n| n.trim().parse().ok()),
            fanotify: kernel_has("CONFIG_FANOTIFY_ACCESS_PERMISSIONS"),
            deny: probe().map_err(|lack| lack.to_string()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

fn words(list: &str) -> Vec<String> {
    list.trim()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The one in brackets: `none [integrity] confidentiality`.
fn chosen(modes: &str) -> Option<String> {
    let (_, rest) = modes.split_once('[')?;
    rest.split_once(']').map(|(mode, _)| mode.to_owned())
}

fn has_events(tracefs: &Path) -> bool {
    fs::read(tracefs.join("events/sched/sched_process_fork/format")).is_ok()
}

/// Whether the kernel was built with `option`; `None`: its configuration is nowhere to be read.
fn kernel_has(option: &str) -> Option<bool> {
    let config = procfs::KernelConfig::current().ok()?;
    Some(matches!(
        config.0.get(option),
        Some(ConfigSetting::Yes | ConfigSetting::Module)
    ))
}
