//! Options of the commands that the operators' protocol is made of, and the examples of their help.

use super::ConfigFile;
use clap::Args;
use std::time::Duration;

pub(super) const CRISIS: &str = "Examples:\n  \
    sudo metamcp-guard crisis --dry-run         what is wrong, and what would be done\n  \
    sudo metamcp-guard crisis metamcp --yes     do it, without asking";

pub(super) const ENFORCE: &str = "Examples:\n  \
    sudo metamcp-guard enforce --dry-run        what holds now, and what would be set\n  \
    sudo metamcp-guard enforce metamcp --yes --json";

pub(super) const PREVENT: &str = "Examples:\n  \
    sudo metamcp-guard prevent --dry-run\n  \
    sudo metamcp-guard prevent metamcp --yes";

pub(super) const VALIDATE: &str = "Examples:\n  \
    sudo metamcp-guard validate                 ten minutes, all targets\n  \
    sudo metamcp-guard validate metamcp --window 2m --json";

pub(super) const COMPOSE: &str = "Examples:\n  \
    metamcp-guard compose > docker-compose.override.yml\n  \
    metamcp-guard compose metamcp --service app";

/// Options of `compose`.
#[derive(Debug, Args)]
pub struct Compose {
    /// The target. May be left out where there is one.
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// The service's name in the compose file. [default: the container's]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Options of `crisis`.
#[derive(Debug, Args)]
pub struct Crisis {
    /// What and how. Without a target: all of them.
    #[command(flatten)]
    pub whole: Whole,
    /// Longest that each step is given to make it better.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "60s")]
    pub wait: Duration,
}

/// Options of `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// The target. [default: all]
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// How long all of it must hold.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10m")]
    pub window: Duration,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The configuration, where no agent runs and one is started for this.
    #[command(flatten)]
    pub config: ConfigFile,
}

pub(super) const FREEZE: &str = "Examples:\n  \
    sudo metamcp-guard freeze metamcp --yes        stop it where it is\n  \
    sudo metamcp-guard freeze metamcp --dry-run    whether it could be";

pub(super) const THAW: &str = "Examples:\n  \
    sudo metamcp-guard thaw              the only target\n  \
    sudo metamcp-guard thaw metamcp --json";

pub(super) const ISOLATE: &str = "Examples:\n  \
    sudo metamcp-guard isolate metamcp --yes       cut it off\n  \
    sudo metamcp-guard isolate metamcp --rejoin    the way back";

pub(super) const RESTART: &str = "Examples:\n  \
    sudo metamcp-guard restart metamcp --dry-run   what it costs\n  \
    sudo metamcp-guard restart metamcp --yes --json";

pub(super) const RECREATE: &str = "Examples:\n  \
    sudo metamcp-guard recreate metamcp --dry-run   what it costs\n  \
    sudo metamcp-guard recreate metamcp --yes";

/// Options of what is done to a target, as a whole or to its trees.
#[derive(Debug, Args)]
pub struct Whole {
    /// The target. May be left out where there is one.
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// Only say what would be done, and what it costs.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The configuration, where no agent runs and one is started for this.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Options of `isolate`.
#[derive(Debug, Args)]
pub struct Isolate {
    /// What and how.
    #[command(flatten)]
    pub whole: Whole,
    /// Connect it again to the networks that it was taken from.
    #[arg(long)]
    pub rejoin: bool,
}
