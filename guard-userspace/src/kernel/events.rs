//! The kernel's events that are heard, and how.
//!
//! Counts come from classic tracepoints, which no other tracepoint's run can skip. Where tracefs shows
//! none (lockdown=confidentiality; 6.1, 6.12 and 7.3 answer ENOENT) the same hooks are attached by the
//! types of their arguments (tp_btf). There a task that preempts another inside such a program skips
//! it: none up to 6.18, 160 of 6,000 forks on 7.3 (kernel-facts §1).

use super::fmod_ret::{Attached, Parts};
use super::load::{LoadError, with};
use super::tracefs::{self, TracefsError};
use aya::programs::{BtfTracePoint, TracePoint};
use aya::{Btf, Ebpf};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Category and name of the events that count. Exits first: whoever is counted in is counted out.
const CLASSIC: [(&str, &str); 4] = [
    ("sched", "sched_process_exit"),
    ("sched", "sched_process_exec"),
    ("sched", "sched_process_fork"),
    ("task", "task_newtask"),
];

/// The same, each with its program; but for execs, whose program reads the process's own memory.
const TYPED: [(&str, &str); 3] = [
    ("typed_exit", "sched_process_exit"),
    ("typed_fork", "sched_process_fork"),
    ("typed_newtask", "task_newtask"),
];

/// What is not aya's to load.
const TYPED_EXEC: (&str, &str) = ("typed_exec", "sched_process_exec");

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
                     which misses events where tasks preempt each other inside it (Linux 7.0 and newer; \
                     lost_events says how often), and cgroups are guarded from when they are found, not \
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

    /// Attaches all that is to be heard; gives what aya does not hold of it.
    ///
    /// # Errors
    /// The kernel does not take a program.
    pub(super) fn attach(
        &self,
        ebpf: &mut Ebpf,
        types: &Btf,
        parts: &Parts,
    ) -> Result<Option<Attached>, LoadError> {
        let made = match self {
            Self::Classic(_) => MADE,
            Self::Typed => MADE_NAMELESS,
        };
        for (program, event) in CGROUPS.into_iter().chain([(made, MADE)]) {
            by_type(ebpf, program, event, types)?;
        }
        match self {
            Self::Classic(_) => {
                for (category, name) in CLASSIC {
                    with::<TracePoint>(ebpf, name, |program| {
                        program.load()?;
                        program.attach(category, name).map(drop)
                    })?;
                }
                Ok(None)
            }
            Self::Typed => {
                let (program, event) = TYPED_EXEC;
                let execs = parts.attach_event(program, event, types)?;
                for (program, event) in TYPED {
                    by_type(ebpf, program, event, types)?;
                }
                Ok(Some(execs))
            }
        }
    }
}

fn by_type(
    ebpf: &mut Ebpf,
    program: &'static str,
    event: &str,
    types: &Btf,
) -> Result<(), LoadError> {
    with::<BtfTracePoint>(ebpf, program, |program| {
        program.load(event, types)?;
        program.attach().map(drop)
    })
}
