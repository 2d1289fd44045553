//! The two sets of values to begin with. A file's values replace them one by one.

use super::checked::{Profile, TargetConfig, TargetSource};
use super::gate::{Cap, DenyErrno, GateConfig, Rung, Tree};
use super::protocol::{
    Count, DockerLimits, End, IdleAfter, LEAK_OVER, Levels, Memory, Nofile, NuclearMonitor,
    Restart, Scope, Tier, Tiers,
};
use super::units::{Bytes, Percent};
use core::time::Duration;
use std::collections::BTreeMap;

/// Cap of the generic profile: what `auto` comes to without a memory limit.
const GENERIC_MAX_PROCESSES: u64 = 400;

/// Programs between a container's init and its gateway, the runtime's own stages first.
const WRAPPERS: [&str; 21] = [
    "runc",
    "crun",
    "sh",
    "dash",
    "bash",
    "tini",
    "docker-init",
    "dumb-init",
    "catatonit",
    "npm",
    "npx",
    "pnpm",
    "yarn",
    "su",
    "gosu",
    "su-exec",
    "setpriv",
    "env",
    "s6-*",
    "supervisord",
    "runsv*",
];

/// Programs that are MCP servers or start them.
const SERVERS: [&str; 8] = [
    "npx", "npm exec", "uvx", "uv", "node", "python*", "bun", "deno",
];

impl Profile {
    /// The name in config and log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metamcp => "metamcp",
            Self::Generic => "generic",
        }
    }
}

impl TargetConfig {
    /// `source` with the values of `profile`, named after itself.
    #[must_use]
    pub fn of(source: TargetSource, profile: Profile) -> Self {
        let metamcp = profile == Profile::Metamcp;
        Self {
            name: source.default_name(),
            source,
            profile,
            protect: Vec::new(),
            expendable: Vec::new(),
            allowed_instances: 4,
            idle_after: IdleAfter {
                calm: Duration::from_secs(3600),
                pressure: Duration::from_secs(120),
                lasting: Duration::from_secs(15),
            },
            gate: GateConfig::of(profile),
            processes: metamcp.then(Levels::default),
            memory: metamcp.then(|| Memory {
                limit: Some(Bytes(4 << 30)),
                ..Memory::default()
            }),
            end: End {
                grace: Duration::from_secs(5),
                zombie_limit: 20,
                max_kills_per_minute: 200,
            },
            tiers: Tiers::default(),
            limits: metamcp.then(DockerLimits::of_metamcp),
            restart: Restart {
                max_per_hour: 3,
                stop_timeout: Duration::from_secs(10),
                compose_dir: None,
            },
        }
    }
}

impl TargetSource {
    /// The name of a target that is given none: the container's, the label, or the cgroup's last
    /// part.
    #[must_use]
    pub fn default_name(&self) -> String {
        match self {
            Self::Container(name) | Self::Label(name) => name.clone(),
            Self::Cgroup(path) => path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
        }
    }
}

impl GateConfig {
    fn of(profile: Profile) -> Self {
        let strings = |all: &[&str]| all.iter().copied().map(str::to_owned).collect();
        let common = Self {
            max_processes: Cap::Auto,
            spawn_rate: 60,
            spawn_burst: 480,
            startup_rate: 120,
            startup_burst: 960,
            reserve: 4,
            guest_processes: 32,
            newborn_max: 256,
            park_for: Duration::from_secs(20),
            parked_max: 32,
            tree: Tree {
                processes: 4,
                spawns: 8,
                settle: Duration::from_secs(120),
            },
            wrappers: strings(&WRAPPERS),
            servers: strings(&SERVERS),
            max_instances: BTreeMap::new(),
            modes: Rung::ALL.to_vec(),
            deny_errno: DenyErrno::Any,
        };
        match profile {
            Profile::Metamcp => common,
            Profile::Generic => Self {
                max_processes: Cap::Count(GENERIC_MAX_PROCESSES),
                reserve: 0,
                tree: Tree {
                    processes: 1,
                    spawns: 1,
                    ..common.tree
                },
                servers: Vec::new(),
                deny_errno: DenyErrno::Eagain,
                ..common
            },
        }
    }
}

impl Default for Levels {
    /// The operators' protocol: "> 50" begins at 51.
    fn default() -> Self {
        Self {
            count: Count::Excess,
            strict: false,
            warning: 15,
            critical: 30,
            emergency: 51,
            nuclear: 101,
            clear_after: Duration::from_secs(60),
            held_for: Duration::from_secs(60),
            leak_over: LEAK_OVER,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            limit: None,
            warning: Percent(75),
            critical: Percent(90),
            emergency: Percent(95),
            restart_over: Bytes(8_000_000_000),
        }
    }
}

impl Default for Tiers {
    fn default() -> Self {
        let on = Tier {
            on: true,
            log: None,
        };
        Self {
            nuclear_monitor: NuclearMonitor {
                on: true,
                log: None,
                scope: Scope::Evidence,
            },
            host_monitor: on.clone(),
            resource_enforcer: on.clone(),
            startup_preventer: on,
        }
    }
}

impl DockerLimits {
    fn of_metamcp() -> Self {
        Self {
            memory: Some(Bytes(4 << 30)),
            memory_reservation: Some(Bytes(1 << 30)),
            memory_swap: Some(Bytes(4 << 30)),
            cpus: Some(2.0),
            nofile: Some(Nofile {
                soft: 1024,
                hard: 2048,
            }),
            pids: None,
            nproc: None,
        }
    }
}
