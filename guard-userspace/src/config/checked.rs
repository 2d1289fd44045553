//! The configuration as the agent uses it: complete, in range, and consistent in itself.
//!
//! Written out as TOML it is a configuration file that means the same (`config show`).

use super::gate::GateConfig;
use super::protocol::{DockerLimits, End, IdleAfter, Levels, Memory, Restart, Tiers};
use super::units::write_time;
// Addresses are data: core has them without the sockets that std::net brings.
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Cap that `max_processes = "auto"` means until memory per process is measured.
pub const AUTO_MAX_PROCESSES: u64 = 400;

/// Least cap that `"auto"` can come to, which the other limits must fit into.
pub const AUTO_LEAST_PROCESSES: u64 = 100;

/// How long the start-up values hold after a container's start, at most.
pub const STARTUP_WINDOW: Duration = Duration::from_secs(600);

/// Most targets of one configuration.
pub const MAX_TARGETS: usize = 500;

/// Everything the operator can say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Whether anything is changed at all.
    pub mode: Mode,
    /// Where journal and logs are; made if missing.
    pub state_dir: PathBuf,
    /// What becomes of the gate when the agent ends.
    pub on_agent_exit: OnAgentExit,
    /// Age of the agent's heartbeat at which it counts as gone.
    #[serde(serialize_with = "write_time")]
    pub agent_timeout: Duration,
    /// How often the gate must prove itself.
    #[serde(serialize_with = "write_time")]
    pub canary_every: Duration,
    /// The page, metrics and API over TCP.
    pub http: Http,
    /// What is guarded: at least one, at most [`MAX_TARGETS`], names unique.
    #[serde(rename = "target")]
    pub targets: Vec<TargetConfig>,
    /// Who is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notify>,
}

impl Default for Config {
    /// What holds without a file: the container `metamcp` with its profile.
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            state_dir: PathBuf::from("/var/lib/metamcp-guard"),
            on_agent_exit: OnAgentExit::Keep,
            agent_timeout: Duration::from_secs(10),
            canary_every: Duration::from_secs(60),
            http: Http::default(),
            targets: vec![TargetConfig::of(
                TargetSource::Container("metamcp".to_owned()),
                Profile::Metamcp,
            )],
            notify: Vec::new(),
        }
    }
}

/// Whether anything is changed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The gate refuses and the tiers act.
    Enforce,
    /// Counts, and says what it would have done.
    Observe,
}

/// What becomes of the gate when the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnAgentExit {
    /// It works on.
    Keep,
    /// It lets all pass once the heartbeat is older than `agent_timeout`.
    Release,
}

/// The page, metrics and API over TCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Http {
    /// Address and port.
    pub listen: SocketAddr,
    /// File that holds the token for actions; without the file there is no action over TCP.
    pub token_file: PathBuf,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3001)),
            token_file: PathBuf::from("/etc/metamcp-guard/token"),
        }
    }
}

/// One guarded container, label or cgroup.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetConfig {
    /// Its name in log, metrics and commands; unique.
    pub name: String,
    /// Where its processes are.
    #[serde(flatten)]
    pub source: TargetSource,
    /// The profile its values began with.
    pub profile: Profile,
    /// Command lines that are never ended and whose children are trees of their own.
    pub protect: Vec<Pattern>,
    /// Command lines to end first.
    pub expendable: Vec<Pattern>,
    /// Trees per family that are healthy; at least 1.
    pub allowed_instances: u64,
    /// How long a tree's leaf must do nothing to be called idle.
    pub idle_after: IdleAfter,
    /// The in-kernel limiter.
    pub gate: GateConfig,
    /// Levels by number of processes; `None`: they stay normal.
    pub processes: Option<Levels>,
    /// Levels by memory; `None`: they stay normal.
    pub memory: Option<Memory>,
    /// How trees end.
    pub end: End,
    /// Who acts.
    pub tiers: Tiers,
    /// Docker's own limits; `None`: left as they are.
    pub limits: Option<DockerLimits>,
    /// How the container is restarted.
    pub restart: Restart,
}

/// Where a target's processes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetSource {
    /// The container of this name, or of the id that begins so.
    Container(String),
    /// Each container with this label: `key` or `key=value`.
    Label(String),
    /// The cgroup of this absolute path below the v2 mount; may appear later.
    Cgroup(PathBuf),
}

impl TargetSource {
    /// Whether it is found through Docker: by name, by id or by label.
    #[must_use]
    pub const fn is_container(&self) -> bool {
        !matches!(self, Self::Cgroup(_))
    }
}

/// A set of values to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// For MetaMCP and other gateways of stdio MCP servers: whole trees, levels, waiting.
    Metamcp,
    /// For anything: a cap and a rate on single processes.
    Generic,
}

/// A regular expression over a command line, its arguments joined by single spaces.
#[derive(Clone, Debug)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// `text` is no regular expression, or compiled it would be larger than 1 MiB.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        let mut builder = regex::RegexBuilder::new(text);
        builder.size_limit(1 << 20).build().map(Self)
    }

    /// Whether `command` contains a match.
    #[must_use]
    pub fn is_match(&self, command: &str) -> bool {
        self.0.is_match(command)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}

/// Who is told, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Notify {
    /// A POST of JSON.
    Webhook {
        /// To where.
        url: String,
    },
    /// An incoming webhook of Slack.
    Slack {
        /// To where.
        url: String,
    },
    /// A mail.
    Email {
        /// `host:port` of the mail server.
        smtp: String,
        /// Sender.
        from: String,
        /// Recipients; at least one.
        to: Vec<String>,
    },
    /// Prometheus's Alertmanager.
    Alertmanager {
        /// Its base address.
        url: String,
    },
    /// A program that gets the notice as JSON on its stdin.
    Command {
        /// Program and arguments; at least the program.
        run: Vec<String>,
    },
}
