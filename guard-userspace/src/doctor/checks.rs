//! Judges facts: what is fine, what is unwise, what is lacking, each with its fix.

use super::docker::Answer;
use super::facts::Facts;
use crate::evidence::cgroup::Layout;
use crate::kernel::deny::Refusal;
use serde::Serialize;

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// One sentence.
    pub said: String,
    /// What to do; `None` where all is well.
    pub fix: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The guard works, but less well.
    Warn,
    /// The guard cannot work.
    Lack,
}

impl Check {
    pub(super) fn ok(name: &'static str, said: impl Into<String>) -> Self {
        let said = said.into();
        Self {
            name,
            verdict: Verdict::Ok,
            said,
            fix: None,
        }
    }

    pub(super) fn warn(
        name: &'static str,
        said: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (said, fix) = (said.into(), Some(fix.into()));
        Self {
            name,
            verdict: Verdict::Warn,
            said,
            fix,
        }
    }

    pub(super) fn lack(
        name: &'static str,
        said: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Lack,
            ..Self::warn(name, said, fix)
        }
    }
}

/// Judges all facts, what matters most first.
#[must_use]
pub fn checks(facts: &Facts) -> Vec<Check> {
    vec![
        root(facts),
        namespace(facts),
        kernel(facts),
        btf(facts),
        tracefs(facts),
        cgroups(facts),
        lsm(facts),
        lockdown(facts),
        fanotify(facts),
        bpffs(facts),
        yama(facts),
        docker(facts),
        cpus(facts),
    ]
}

/// Capabilities by number (include/uapi/linux/capability.h): without these nothing works.
const NEEDED: [(&str, u32); 1] = [("SYS_ADMIN", 21)];

/// What the agent protects itself with: its memory locked, its reader first in the queue, itself
/// last in line when memory runs out.
const WANTED: [(&str, u32); 3] = [("IPC_LOCK", 14), ("SYS_NICE", 23), ("SYS_RESOURCE", 24)];

fn root(facts: &Facts) -> Check {
    if !facts.root {
        return Check::lack(
            "root",
            "not root: nothing can be loaded into the kernel",
            "run it with sudo",
        );
    }
    let held = facts.capabilities.unwrap_or(u64::MAX);
    let missing = |wanted: &[(&str, u32)]| {
        let missing = wanted.iter().filter(|(_, bit)| held & (1 << bit) == 0);
        missing
            .map(|(name, _)| format!("CAP_{name}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (needed, wanted) = (missing(&NEEDED), missing(&WANTED));
    let fix = "run it on the host itself, or in a container that is --privileged";
    if !needed.is_empty() {
        Check::lack("root", format!("root without {needed}"), fix)
    } else if !wanted.is_empty() {
        let said = format!(
            "root without {wanted}: the agent is less safe from the storm it guards against"
        );
        Check::warn("root", said, fix)
    } else {
        Check::ok("root", "root, with the capabilities that are needed")
    }
}

fn namespace(facts: &Facts) -> Check {
    match facts.host_pids {
        Some(false) => Check::lack(
            "pid namespace",
            "inside a container: the process numbers seen here are not the kernel's",
            "run it on the host itself, or with --pid=host",
        ),
        Some(true) => Check::ok("pid namespace", "the host's own"),
        None => Check::warn("pid namespace", "cannot be told", "mount /proc"),
    }
}

/// Oldest kernel with a BPF ring buffer.
const OLDEST: (u32, u32) = (5, 8);

/// Oldest kernel this was tried on.
const TRIED: (u32, u32) = (6, 1);

fn kernel(facts: &Facts) -> Check {
    let release = &facts.release;
    match version(release) {
        Some(version) if version < OLDEST => Check::lack(
            "kernel",
            format!("{release} has no BPF ring buffer"),
            "use 6.1 or newer (5.8 at the least)",
        ),
        Some(version) if version < TRIED => Check::warn(
            "kernel",
            format!("{release} is older than any this was tried on"),
            "use 6.1 or newer",
        ),
        Some(_) => Check::ok("kernel", release.clone()),
        None => Check::warn(
            "kernel",
            format!("{release} is no version"),
            "use 6.1 or newer",
        ),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn btf(facts: &Facts) -> Check {
    if facts.btf {
        Check::ok("BTF", "/sys/kernel/btf/vmlinux")
    } else {
        let said = "the kernel does not describe its types: where fields are cannot be known";
        Check::lack(
            "BTF",
            said,
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' are",
        )
    }
}

fn tracefs(facts: &Facts) -> Check {
    const MOUNT: &str = "mount -t tracefs tracefs /sys/kernel/tracing";
    match &facts.tracefs {
        Some(at) if facts.events => Check::ok("tracefs", at.display().to_string()),
        Some(at) if !facts.root => Check::warn(
            "tracefs",
            format!("{}: only root can look into it", at.display()),
            "run it with sudo",
        ),
        Some(at) => Check::warn(
            "tracefs",
            format!(
                "{}: the scheduler's events are not there; counting goes by tp_btf, less exactly",
                at.display()
            ),
            "boot without lockdown=confidentiality, which hides them",
        ),
        None => Check::warn(
            "tracefs",
            "not mounted; the agent mounts it when it starts",
            MOUNT,
        ),
    }
}

fn cgroups(facts: &Facts) -> Check {
    match &facts.cgroups {
        Some(Layout::Unified { mount }) => {
            Check::ok("cgroups", format!("v2 at {}", mount.display()))
        }
        Some(Layout::Hybrid { mount }) => {
            Check::ok("cgroups", format!("v2 at {}, beside v1", mount.display()))
        }
        Some(Layout::V1Only) => Check::lack(
            "cgroups",
            "v1 alone: processes are followed through v2",
            "boot with systemd.unified_cgroup_hierarchy=1, or mount v2 beside v1: \
             mkdir -p /run/cgroup2 && mount -t cgroup2 none /run/cgroup2",
        ),
        Some(Layout::Unmounted) => Check::lack(
            "cgroups",
            "not mounted",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
        None => Check::lack(
            "cgroups",
            "the list of mounts cannot be read",
            "mount /proc",
        ),
    }
}

fn has_bpf(facts: &Facts) -> bool {
    let list = facts.lsm.as_ref();
    list.is_some_and(|list| list.iter().any(|name| name == "bpf"))
}

fn lsm(facts: &Facts) -> Check {
    match &facts.lsm {
        Some(_) if has_bpf(facts) => Check::ok(
            "BPF LSM",
            "in the list: forks can be refused at no cost (mode lsm, once the agent has proved it)",
        ),
        Some(list) => {
            let mut with_bpf = list.clone();
            // `capability` is always there and is not named on the kernel's command line.
            with_bpf.retain(|name| name != "capability");
            with_bpf.push("bpf".to_owned());
            let fix = format!(
                "add lsm={} to the kernel's command line and boot again",
                with_bpf.join(",")
            );
            let said = match facts.deny {
                Ok(_) => {
                    "not in the list: mode fmod_ret where the kernel takes it, else mode deny, which \
                     refuses the exec instead of the fork"
                }
                Err(_) => {
                    "not in the list: mode fmod_ret where the kernel takes it, else mode kill, where a \
                     process over the limit dies at its first program and its spawner sees a crash"
                }
            };
            Check::warn("BPF LSM", said, fix)
        }
        None => Check::warn(
            "BPF LSM",
            "the list of security modules cannot be read",
            "mount -t securityfs securityfs /sys/kernel/security (the agent tries mode lsm all the same)",
        ),
    }
}

fn lockdown(facts: &Facts) -> Check {
    match facts.lockdown.as_deref() {
        Some("confidentiality") => Check::warn(
            "lockdown",
            "confidentiality: counting goes by tp_btf, and no cgroup is guarded from its first process",
            "boot with lockdown=integrity",
        ),
        Some(mode) => Check::ok("lockdown", mode.to_owned()),
        None => Check::ok("lockdown", "not built in, or not to be read"),
    }
}

fn fanotify(facts: &Facts) -> Check {
    match (&facts.deny, facts.fanotify) {
        (Ok(Refusal::Eagain), _) => Check::ok(
            "fanotify",
            "an exec can be denied with EAGAIN (mode deny: a failed spawn, where lsm cannot be)",
        ),
        (Ok(Refusal::Eperm), _) if has_bpf(facts) => Check::ok(
            "fanotify",
            "an exec can be denied with EPERM (mode deny, should lsm fail)",
        ),
        (Ok(Refusal::Eperm), _) => Check::warn(
            "fanotify",
            "an exec can be denied with EPERM alone, which Node throws where others fail: mode deny is \
             for targets with deny_errno = \"any\" (profile metamcp)",
            "use 6.14 or newer for EAGAIN, or boot with bpf in lsm=",
        ),
        (Err(_), Some(false)) => Check::warn(
            "fanotify",
            "no permission events: mode deny does not work",
            "use a kernel built with CONFIG_FANOTIFY_ACCESS_PERMISSIONS=y",
        ),
        (Err(_), _) if !facts.root => Check::warn(
            "fanotify",
            "whether execs can be denied (mode deny) only root can try",
            "run it with sudo",
        ),
        (Err(why), _) => Check::warn(
            "fanotify",
            format!("mode deny does not work: {why}"),
            "see what denies it: a container without CAP_SYS_ADMIN, or a seccomp filter",
        ),
    }
}

fn bpffs(facts: &Facts) -> Check {
    if facts.bpffs {
        Check::ok("bpffs", "/sys/fs/bpf")
    } else {
        let said = "not mounted: a gate that outlives its agent (to come) needs it";
        Check::warn("bpffs", said, "mount -t bpf bpf /sys/fs/bpf")
    }
}

fn yama(facts: &Facts) -> Check {
    match facts.ptrace_scope {
        Some(3) => Check::warn(
            "yama",
            "ptrace_scope=3: servers cannot be ended by end of file (to come), only by signals",
            "set kernel.yama.ptrace_scope=1 in /etc/sysctl.d and boot again (3 cannot be taken back)",
        ),
        Some(scope) => Check::ok("yama", format!("ptrace_scope={scope}")),
        None => Check::ok("yama", "not built in"),
    }
}

fn docker(facts: &Facts) -> Check {
    let host = &facts.docker.host;
    match &facts.docker.answer {
        Answer::Here => Check::ok("Docker", format!("answers at {host}")),
        Answer::Silent { why } => Check::warn(
            "Docker",
            format!("does not answer at {host}: {why}"),
            "start dockerd or set DOCKER_HOST; cgroup targets do not need it",
        ),
        Answer::NotAsked => Check::warn(
            "Docker",
            format!("{host} is no Unix socket and was not asked"),
            "the containers must run on this host's kernel: use its unix:// socket",
        ),
    }
}

fn cpus(facts: &Facts) -> Check {
    match facts.cpus {
        1 => Check::warn(
            "CPUs",
            "1: a storm and the agent share it",
            "give the host two CPUs",
        ),
        n => Check::ok("CPUs", n.to_string()),
    }
}

#[cfg(test)]
mod tests;
