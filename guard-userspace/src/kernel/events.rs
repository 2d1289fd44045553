//! The kernel's events that are heard, and how.
//!
//! Counts come from classic tracepoints, which no other tracepoint's run can skip. Where tracefs shows
//! none (lockdown=confidentiality; 6.1, 6.12 and 7.3 answer ENOENT) the same hooks are attached by the
//! types of their arguments (tp_btf). There a task that preempts another inside such a program skips
//! it: none up to 6.18, 160 of 6,000 forks on 7.3 (kernel-facts §1).

use super::fmod_ret::Parts;
use super::hook::Hook;
use super::load::{LoadError, hook};
use super::pins::Pins;
use super::tracefs::{self, TracefsError};
use aya::programs::links::FdLink;
use aya::programs::{BtfTracePoint, TracePoint};
use aya::{Btf, Ebpf};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Category and name of the events that count. Exits first: whoever is counted in is counted out.
const CLASSIC: [(&str, &str); 4] = [
    ("sched", "sched_process_exit"),
    ("sched", "sched_process_exec"),
    ("sched", "sched_process_fork"),
    ("task", "task_newtask"),
];

/// The event of new processes, and the program that is attached to it instead of the one of its name where
/// the kernel can kill one at birth.
pub(super) const FORK: &str = "sched_process_fork";
pub(super) const KILLS: &str = "sched_process_fork_kills";

/// The same, each with the pins of its copies; the first is its program's name.
const TYPED: [(&str, [&str; COPIES]); 4] = [
    (
        "sched_process_exit",
        ["typed_exit", "typed_exit_1", "typed_exit_2", "typed_exit_3"],
    ),
    (
        "sched_process_exec",
        ["typed_exec", "typed_exec_1", "typed_exec_2", "typed_exec_3"],
    ),
    (
        "sched_process_fork",
        ["typed_fork", "typed_fork_1", "typed_fork_2", "typed_fork_3"],
    ),
    (
        "task_newtask",
        [
            "typed_newtask",
            "typed_newtask_1",
            "typed_newtask_2",
            "typed_newtask_3",
        ],
    ),
];

/// Copies of each where a task may preempt another inside one: the first that it does not skip does the
/// work. Of 5,700 events on 7.3 one was skipped up to 76 times.
const COPIES: usize = 4;

/// The first release whose events run with preemption on (7.0 and 7.3 were tried, and 6.18, where none is).
const PREEMPTED_SINCE: u32 = 7;

/// How many copies this kernel needs.
fn copies() -> usize {
    let release = rustix::system::uname();
    let major = release.release().to_string_lossy();
    let major = major.split('.').next().and_then(|n| n.parse::<u32>().ok());
    if major.is_some_and(|major| major < PREEMPTED_SINCE) {
        1
    } else {
        COPIES
    }
}

/// The name of the program that this pin's is a copy of.
#[must_use]
pub(super) fn program_of(pin: &str) -> &str {
    let all = TYPED.iter().find(|(_, pins)| pins.contains(&pin));
    all.map_or(pin, |(_, [program, ..])| program)
}

/// Events about cgroups, heard by their types everywhere: they fire one at a time. Program and event.
const CGROUPS: [(&str, &str); 2] = [
    ("cgroup_rmdir", "cgroup_rmdir"),
    ("cgroup_attach_task", "cgroup_attach_task"),
];

/// The cgroup that is made: where its path can be read, and where not.
const MADE: &str = "cgroup_mkdir";
const MADE_NAMELESS: &str = "nameless_mkdir";

/// How this kernel lets its events be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Events {
    /// As classic tracepoints, described below this folder: exactly.
    Classic(PathBuf),
    /// By the types of their arguments alone.
    Typed,
}

impl Events {
    /// Looks, and says it where it is the lesser way.
    ///
    /// # Errors
    /// There is no tracefs at all.
    pub fn look() -> Result<Self, TracefsError> {
        let tracefs = tracefs::place()?;
        let (category, event) = ("sched", "sched_process_fork");
        match tracefs::field(&tracefs, category, event, "child_pid") {
            Err(TracefsError::NoEvent { source, .. }) if source.kind() == ErrorKind::NotFound => {
                tracing::warn!(
                    event = "counting",
                    by = Self::Typed.name(),
                    "tracefs shows no events, as under lockdown=confidentiality: counting goes by tp_btf, \
                     which may miss events where tasks preempt each other inside it (Linux 7.0 and newer), \
                     and cgroups are guarded from when they are found, not \
                     from their first process; boot with lockdown=integrity for exact counts"
                );
                Ok(Self::Typed)
            }
            _ => Ok(Self::Classic(tracefs)),
        }
    }

    /// Its name in the status: `tracepoint` or `tp_btf`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Classic(_) => "tracepoint",
            Self::Typed => "tp_btf",
        }
    }

    /// Where classic events are described.
    #[must_use]
    pub fn described(&self) -> Option<&Path> {
        match self {
            Self::Classic(tracefs) => Some(tracefs),
            Self::Typed => None,
        }
    }

    /// The programs that hear them.
    fn hooks(&self) -> Vec<&'static str> {
        let cgroups = CGROUPS.into_iter().map(|(program, _)| program);
        match self {
            Self::Classic(_) => cgroups
                .chain([MADE])
                .chain(CLASSIC.map(|(_, name)| name))
                .collect(),
            Self::Typed => cgroups
                .chain([MADE_NAMELESS])
                .chain(
                    TYPED
                        .into_iter()
                        .flat_map(|(_, pins)| pins.into_iter().take(copies())),
                )
                .collect(),
        }
    }

    /// Those that an earlier agent has attached and pinned.
    ///
    /// # Errors
    /// One that is not there.
    pub(super) fn found(&self, pins: &Pins) -> Result<Vec<Hook>, &'static str> {
        let found = self.hooks().into_iter().map(|name| {
            let kills = || Hook::found(pins, KILLS).filter(|_| name == FORK);
            Hook::found(pins, name).or_else(kills).ok_or(name)
        });
        found.collect()
    }

    /// Attaches all that is to be heard. `kills`: the kernel should take the program that kills at birth.
    ///
    /// # Errors
    /// The kernel does not take a program.
    pub(super) fn attach(
        &self,
        (ebpf, kills): (&mut Ebpf, bool),
        pins: Option<&Pins>,
        types: &Btf,
        parts: &Parts,
    ) -> Result<Vec<Hook>, LoadError> {
        let mut hooks = Vec::new();
        let made = match self {
            Self::Classic(_) => MADE,
            Self::Typed => MADE_NAMELESS,
        };
        for (program, event) in CGROUPS.into_iter().chain([(made, MADE)]) {
            hooks.push(by_type(ebpf, pins, (program, event), types)?);
        }
        match self {
            Self::Classic(_) => {
                for event in CLASSIC {
                    hooks.push(classic((ebpf, kills), pins, event)?);
                }
            }
            Self::Typed => {
                for (event, names) in TYPED {
                    let [program, ..] = names;
                    let attached = parts.attach_event(program, event, types, copies())?;
                    for ((program, link), name) in attached.into_iter().zip(names) {
                        hooks.push(Hook::of_raw(pins, name, program, link)?);
                    }
                }
            }
        }
        Ok(hooks)
    }
}

fn classic(
    (ebpf, kills): (&mut Ebpf, bool),
    pins: Option<&Pins>,
    (category, event): (&str, &'static str),
) -> Result<Hook, LoadError> {
    let mut attach = |name| {
        hook::<TracePoint>(ebpf, pins, name, |program| {
            program.load()?;
            let link = program.attach(category, event)?;
            let link = program.take_link(link)?;
            FdLink::try_from(link).map_err(|error| io::Error::other(error).into())
        })
    };
    if event == FORK && kills {
        match attach(KILLS) {
            Ok(hook) => return Ok(hook),
            Err(error) => {
                tracing::info!(%error, "condemned processes cannot be killed at birth here");
            }
        }
    }
    attach(event)
}

fn by_type(
    ebpf: &mut Ebpf,
    pins: Option<&Pins>,
    (program, event): (&'static str, &str),
    types: &Btf,
) -> Result<Hook, LoadError> {
    hook::<BtfTracePoint>(ebpf, pins, program, |program| {
        program.load(event, types)?;
        let link = program.attach()?;
        Ok(program.take_link(link)?.into())
    })
}
