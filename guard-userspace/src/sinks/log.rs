//! Facts as log events. Names of events and fields are a contract: dashboards read them.

pub(super) mod acts;
mod story;

use super::json::FlatJson;
use crate::model::input::{BreachVerdict, Limit, SpawnErrno};
use crate::model::{Fact, FactKind, Level};
use guard_common::GateMode;
use std::io::IsTerminal;
use tracing::{debug, error, info, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that may wait for a slow reader of stdout; more are dropped and counted.
const QUEUE_LINES: usize = 8_192;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one flat object per line.
    Json,
}

/// Keeps the log's thread alive; dropped, it writes what is queued.
#[derive(Debug)]
pub struct Log {
    dropped: ErrorCounter,
    _worker: WorkerGuard,
}

impl Log {
    /// Lines that were dropped because stdout did not take them in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        u64::try_from(self.dropped.dropped_lines()).unwrap_or(u64::MAX)
    }
}

/// Sends all events to stdout from now on, from a thread of its own: a reader that stops reading
/// must not stop the agent. `RUST_LOG` filters (default: info).
#[must_use]
pub fn start(format: LogFormat) -> Log {
    let (writer, worker) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE_LINES)
        .thread_name("log")
        .finish(std::io::stdout());
    let dropped = writer.error_counter();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    let set = match format {
        LogFormat::Json => subscriber.event_format(FlatJson).try_init(),
        LogFormat::Text => {
            let colours = std::io::stdout().is_terminal();
            subscriber.with_target(false).with_ansi(colours).try_init()
        }
    };
    if let Err(err) = set {
        // Two logs in one process happen in tests only; the first one goes on.
        debug!(%err, "the log was started before");
    }
    Log {
        dropped,
        _worker: worker,
    }
}

/// Says one fact about `target`.
pub fn publish(fact: &Fact, target: &str) {
    let event = fact.kind.name();
    match &fact.kind {
        FactKind::SpawnRate {
            counts,
            excess,
            level,
            mode,
            cgroup,
            seconds,
        } => info!(
            event,
            target,
            cgroup_id = cgroup.map(|cgroup| cgroup.0),
            spawns = counts.spawns,
            threads = counts.threads,
            execs = counts.execs,
            exits = counts.exits,
            denied = counts.denied,
            killed = counts.killed,
            parked = counts.parked,
            live = counts.live,
            tasks = counts.tasks,
            excess,
            level = level.name(),
            mode = mode.name(),
            seconds,
        ),
        FactKind::Armed {
            cgroup,
            path,
            adopted,
            inherited,
            from_birth,
            mode,
            errno,
        } => info!(
            event,
            target,
            cgroup_id = cgroup.0,
            path,
            adopted,
            inherited,
            from_birth,
            mode = mode.map(GateMode::name),
            errno = errno.map(SpawnErrno::name),
            "{}",
            if *inherited {
                format!("{target} was counted all the time and is followed from now on")
            } else {
                format!("{target} is counted from now on")
            }
        ),
        FactKind::Disarmed { why } => info!(event, target, why, "{target} is gone: {why}"),
        FactKind::Breach { .. } => breach(event, target, &fact.kind),
        FactKind::Level { from, to, why } => level(event, target, *from, *to, why),
        FactKind::Decision { .. } => acts::decision(event, target, &fact.kind),
        FactKind::Action { .. } => acts::action(event, target, &fact.kind),
        FactKind::Retired { ending, processes } => info!(
            event,
            target,
            root = ending.root,
            family = ending.family,
            processes,
            "{ending} has ended by end of file; no crash is counted"
        ),
        FactKind::LostEvents { source, total } => warn!(
            event,
            target,
            source,
            total,
            "{total} events of {target} were lost in all (at: {source}); totals stay exact"
        ),
        FactKind::AutoCap { .. }
        | FactKind::CapTooSmall { .. }
        | FactKind::Trend { .. }
        | FactKind::Leak { .. }
        | FactKind::IncidentOpened { .. }
        | FactKind::Escalation { .. }
        | FactKind::IncidentClosed { .. } => story::publish(event, target, &fact.kind),
        FactKind::GatewaysFull { most, program } => warn!(
            event,
            target,
            most,
            program,
            "{target} has {most} gateways, which is the most: what else is one by its program stays what it \
             was, the first of them `{program}`; name fewer in `protect`, or more in `wrappers`"
        ),
        FactKind::GateMode {
            mode,
            proved,
            errno,
            why,
        } => {
            let nothing_to_prove = *mode == GateMode::Observe;
            let (mode, errno) = (mode.name(), errno.map(SpawnErrno::name));
            if *proved || nothing_to_prove {
                info!(event, target, mode, proved, errno, why);
            } else {
                error!(
                    event,
                    target, mode, proved, errno, why, "the gate did not prove itself: {why}"
                );
            }
        }
    }
}

/// The first refusal of a storm is said in words, the others for whoever asks for debug lines: the
/// seconds' lines count them all.
fn breach(event: &str, target: &str, kind: &FactKind) {
    let FactKind::Breach {
        limit,
        verdict,
        pid,
        comm,
        committed,
        max_processes,
        first,
        ..
    } = kind
    else {
        return;
    };
    let (limit_name, verdict_name) = (limit.name(), verdict.name());
    if *first {
        let words = refusal(target, kind);
        warn!(
            event,
            target,
            limit = limit_name,
            verdict = verdict_name,
            pid,
            comm,
            committed,
            max_processes,
            first,
            "{words}"
        );
    } else {
        debug!(
            event,
            target,
            limit = limit_name,
            verdict = verdict_name,
            pid,
            comm,
            committed,
            max_processes,
            first
        );
    }
}

/// Who was refused, by whom, at which limit, and what to do; empty of what is no breach.
#[must_use]
pub fn refusal(target: &str, breach: &FactKind) -> String {
    let FactKind::Breach {
        limit,
        verdict,
        pid,
        comm,
        committed,
        max_processes,
        reserve,
        tree_processes,
        holders,
        ..
    } = breach
    else {
        return String::new();
    };
    let (why, fix) = match limit {
        Limit::Processes => {
            let reserve = match reserve {
                0 => String::new(),
                slots => format!(", {slots} are kept for its own wrappers"),
            };
            let tree = match tree_processes {
                0 | 1 => String::new(),
                slots => format!(", a whole tree takes {slots}"),
            };
            let taken = format!("{committed} of {max_processes} slots (max_processes) are taken");
            (
                format!("{target} has no room: {taken}{reserve}{tree}"),
                "end what leaks, or raise max_processes if these processes are wanted",
            )
        }
        Limit::Rate => (
            format!("{target} spawns faster than spawn_rate allows and spawn_burst is used up"),
            "look for a loop that spawns and exits, or raise spawn_rate and spawn_burst",
        ),
        Limit::Guests => (
            format!("an entry from outside into {target} has used up guest_processes"),
            "look at what `docker exec` or the health check runs, or raise guest_processes",
        ),
        Limit::Table => (
            "a table of the guard's own is full".to_owned(),
            "guard fewer processes, and report this with the output of `metamcp-guard status`",
        ),
    };
    let fate = match verdict {
        BreachVerdict::Denied => "its fork failed with EAGAIN (mode lsm or fmod_ret)",
        BreachVerdict::Condemned => {
            "the new process executes nothing: its exec fails (mode deny), or it dies at its first \
             exec or fork (mode kill)"
        }
        BreachVerdict::Observed => "it was let through (observe); enforce would have refused it",
    };
    let holders = match holders.as_str() {
        "" => String::new(),
        holders => format!(" ({holders})"),
    };
    format!("{comm} (pid {pid}) got no new process: {why}; {fate}. What to do: {fix}{holders}")
}

/// A level is as loud as it is bad.
fn level(event: &str, target: &str, from: Level, to: Level, why: &str) {
    let (from_name, to_name) = (from.name(), to.name());
    match to {
        Level::Normal => info!(event, target, from = from_name, to = to_name, why),
        Level::Warning | Level::Critical => {
            warn!(event, target, from = from_name, to = to_name, why);
        }
        Level::Emergency | Level::Nuclear => {
            error!(event, target, from = from_name, to = to_name, why);
        }
    }
}

#[cfg(test)]
mod tests;
