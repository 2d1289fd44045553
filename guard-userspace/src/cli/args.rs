//! The command line: commands, options and the help that teaches them.

mod protocol;

pub use protocol::{Compose, Crisis, Isolate, Validate, Whole};

use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::{
    COMPOSE, CRISIS, ENFORCE, FREEZE, ISOLATE, PREVENT, RECREATE, RESTART, THAW, VALIDATE,
};
use std::path::PathBuf;

/// Where the agent answers commands.
pub const DEFAULT_SOCKET: &str = "/run/metamcp-guard/agent.sock";

/// Where the configuration is looked for.
pub const DEFAULT_CONFIG: &str = "/etc/metamcp-guard/config.toml";

/// Limits how many processes a container can start, in the kernel, and says what it does.
///
/// The kernel counts every process of the guarded containers exactly and refuses the one too many
/// at its fork, before it costs anything. The agent (`run`) sets the limits, follows what happens
/// and reports it; the other commands ask the agent, or look at the host.
#[derive(Debug, Parser)]
#[command(
    name = "metamcp-guard",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 good · 1 a check failed · 2 bad usage or configuration · \
                  3 no permission · 4 target not found · 5 the kernel lacks what is needed · \
                  6 another agent holds the gate\n\n\
                  Examples:\n  \
                  sudo metamcp-guard run --demo    see the gate hold a storm, in 20 seconds\n  \
                  sudo metamcp-guard run           guard the container metamcp"
)]
pub struct Cli {
    /// Where the agent answers: a Unix socket.
    #[arg(long, global = true, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Guard: count, limit and report until stopped.
    ///
    /// Without a configuration and without arguments the container `metamcp` is guarded with the
    /// profile of its name; while it does not exist it is waited for. Needs root.
    Run(Run),
    /// Show targets, counts, levels and the gate's proved mode.
    ///
    /// Asks the running agent. Exits with 1 when a target is above warning, with 4 when no agent
    /// answers.
    Status(Status),
    /// Do what the protocol says about what is there now: clean up, then restart, then recreate.
    ///
    /// Says each target's level and why, what grows, and what it will do; asks; does it; and stops as
    /// soon as it is better for sure. Exits with 0 where nothing is to do, with 1 where it is not better
    /// at the end. Asks the running agent, or one that is started for this.
    #[command(after_help = CRISIS)]
    Crisis(Crisis),
    /// Put Docker's own limits in force, and read back all that enforces: gate, Docker, cgroup, tiers.
    ///
    /// The limits are those of [target.limits]. Without TARGET, of all targets. Exits with 1 when
    /// something is not as wanted. Asks the running agent, or one that is started for this.
    #[command(after_help = ENFORCE)]
    Enforce(Whole),
    /// Protect a container's start, now and each later one.
    ///
    /// Docker's own limits are put in force, and what guards a start is shown: the start-up preventer,
    /// the start-up window and its bucket. Exits with 1 when later starts would not be guarded.
    #[command(after_help = PREVENT)]
    Prevent(Whole),
    /// Say whether it is over: the protocol's five criteria, over a window of time.
    ///
    /// Processes below `warning`; memory below its `warning` and stable; no growth that never falls; the
    /// agent well and its tiers on; the container healthy. What cannot be read is said and fails
    /// nothing. Exits with 1 as soon as one has failed. Changes nothing.
    #[command(after_help = VALIDATE)]
    Validate(Validate),
    /// End trees gently: each server sees the end of its standard input and ends by itself.
    ///
    /// Its gateway counts no crash. It needs a UNIX socket as standard input, as Node gives one; where
    /// there is a pipe, or the server ignores the end, it says so and leaves the tree as it was.
    /// Asks the running agent, or one that is started for this; exits with 1 when not all trees ended,
    /// with 4 when nothing of that name is there.
    #[command(after_help = RETIRE)]
    Retire(End),
    /// End trees by SIGTERM, and by SIGKILL what is left after `grace`.
    ///
    /// MetaMCP takes that for a crash: it marks the server ERROR and ends all its instances. Try
    /// `retire` first. Asks the running agent, or one that is started for this; exits with 1 when not
    /// all trees ended, with 4 when nothing of that name is there.
    #[command(after_help = KILL)]
    Kill(End),
    /// Stop all of a target where it is.
    ///
    /// Nothing in it runs, and nothing is lost, until `thaw`; it is thawed too when the agent ends,
    /// however that comes. Asks the running agent, or one that is started for this (then it stays
    /// frozen as long as this command runs); exits with 1 when it was not done, with 4 when nothing of
    /// that name is there. So do the four that follow.
    #[command(after_help = FREEZE)]
    Freeze(Whole),
    /// Let a target that was frozen go on.
    #[command(after_help = THAW)]
    Thaw(Whole),
    /// Disconnect a container from its networks; with --rejoin connect it again.
    ///
    /// Its processes run on, and nobody reaches them, nor do they reach anybody.
    #[command(after_help = ISOLATE)]
    Isolate(Isolate),
    /// Stop a container and start it again.
    ///
    /// All sessions end, and all servers start anew. It has `restart.stop_timeout` to stop by itself.
    /// Restarts by hand are not limited by `restart.max_per_hour`.
    #[command(after_help = RESTART)]
    Restart(Whole),
    /// Remove a container and make it anew: through Compose, or from its own settings.
    ///
    /// What was written inside the container is lost, the package cache too; volumes stay. Where its
    /// labels or `restart.compose_dir` name a Compose project, Compose makes it.
    #[command(after_help = RECREATE)]
    Recreate(Whole),
    /// Take the gate away: nothing is refused or counted any more.
    ///
    /// An agent leaves its gate at work when it ends (on_agent_exit = "keep"); this removes it, and ends
    /// the agent if one runs. With TARGET only that one is let go of, until the agent starts again. Exits
    /// with 4 when there is no such target, with 6 when an agent that does not answer holds the gate.
    Disarm(Disarm),
    /// Print an override for docker-compose: the protocol's protected configuration, corrected.
    ///
    /// Limits, no-new-privileges, open files, health check, `init`, environment, with the reason where
    /// it differs from the protocol. Changes nothing. Asks the running agent for the gate's mode, if one
    /// runs.
    #[command(after_help = COMPOSE)]
    Compose(Compose),
    /// Check or show the configuration.
    Config(Config),
    /// Look at this host: what the guard needs, what is there, how to get the rest.
    ///
    /// Changes nothing. Exits with 1 when something is lacking; what is only unwise is a warning.
    Doctor(Doctor),
    /// Print completions for a shell.
    #[command(after_help = "Examples:\n  \
        metamcp-guard completions bash > /etc/bash_completion.d/metamcp-guard\n  \
        metamcp-guard completions fish > ~/.config/fish/completions/metamcp-guard.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual.
    #[command(after_help = "Examples:\n  \
        metamcp-guard man | man -l -                     read it\n  \
        metamcp-guard man --dir /usr/local/share/man/man1   install a page for each command")]
    Man {
        /// Write a page for each command into this directory instead.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Options of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    sudo metamcp-guard run --container web --container worker   guard two containers\n  \
    sudo metamcp-guard run --observe --log-format json          count only, one JSON line a second")]
pub struct Run {
    /// The file and the targets.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Guard this container, by name or id, instead of the file's targets. May be repeated.
    ///
    /// It need not exist yet. Profile generic: at most 400 processes, 60 spawns a second; the
    /// container `metamcp` has the profile of its name.
    #[arg(long = "container", value_name = "NAME")]
    pub containers: Vec<String>,
    /// Guard this cgroup, descendants included, instead of the file's targets. May be repeated.
    ///
    /// An absolute path below the mount of cgroup v2. It need not exist yet.
    #[arg(long = "cgroup", value_name = "PATH")]
    pub cgroups: Vec<PathBuf>,
    /// Change nothing: count, and say what would have been refused.
    #[arg(long)]
    pub observe: bool,
    /// Show the gate at work on a storm of its own, for 20 seconds, and leave nothing behind.
    #[arg(long, conflicts_with_all = ["config", "containers", "cgroups", "observe", "log_format"])]
    pub demo: bool,
    /// How the log is written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// For the command with this pid alone: ends with it, and leaves a gate only where one was before.
    #[arg(long, value_name = "PID", hide = true)]
    pub for_command: Option<i32>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For reading.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Options of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    sudo metamcp-guard status\n  \
    sudo metamcp-guard status --json | jq '.targets[].counts.live'")]
pub struct Status {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

const RETIRE: &str = "Examples:\n  \
    sudo metamcp-guard retire metamcp --dry-run    which trees, and what it costs\n  \
    sudo metamcp-guard retire --tree 4711          the tree that pid 4711 is in";

const KILL: &str = "Examples:\n  \
    sudo metamcp-guard kill --tree 4711 --dry-run   which tree, and what it costs\n  \
    sudo metamcp-guard kill metamcp --yes --json    all trees of a target, without asking";

/// Options of `retire` and `kill`.
#[derive(Debug, Args)]
pub struct End {
    /// What and how.
    #[command(flatten)]
    pub whole: Whole,
    /// Pid (on the host) of any process of the tree. [default: every unprotected tree]
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub tree: Option<u32>,
}

/// Options of `disarm`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    sudo metamcp-guard disarm             everything, with or without an agent\n  \
    sudo metamcp-guard disarm metamcp     one target; the agent goes on with the others")]
pub struct Disarm {
    /// The target. [default: all, and the agent ends]
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// The commands of `config`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metamcp-guard config check\n  \
    metamcp-guard config show --config draft.toml > complete.toml")]
pub struct Config {
    /// Which.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration is right: every mistake with its line, cause and fix.
    ///
    /// Exits with 2 when it is not. Limits that are allowed but break what runs under them (pids,
    /// nproc) are warned of.
    #[command(after_help = "Examples:\n  \
        metamcp-guard config check\n  \
        metamcp-guard config check --config draft.toml")]
    Check(ConfigCheck),
    /// Print the configuration that holds: the profile's values with the file's over them.
    ///
    /// As TOML it is a configuration file that means the same. Secrets are masked.
    #[command(after_help = "Examples:\n  \
        metamcp-guard config show                              the defaults, or /etc/metamcp-guard's\n  \
        metamcp-guard config show --json | jq '.target[].gate'")]
    Show(ConfigCheck),
}

/// Options of `config check` and `config show`.
#[derive(Debug, Args)]
pub struct ConfigCheck {
    /// The file.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    sudo metamcp-guard doctor\n  \
    sudo metamcp-guard doctor --json | jq '.checks[] | select(.verdict != \"ok\")'")]
pub struct Doctor {
    /// The file.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub struct ConfigFile {
    /// The configuration file. [default: /etc/metamcp-guard/config.toml, if it is there]
    #[arg(long = "config", value_name = "FILE", id = "config")]
    pub path: Option<PathBuf>,
}
