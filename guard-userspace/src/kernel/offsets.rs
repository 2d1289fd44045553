//! Where this kernel keeps what the kernel side reads: fields of its structs by BTF, fields of
//! its events by tracefs. Rust has no CO-RE, so these become globals of the object before it loads.

use super::btf::Btf;
use super::tracefs::{self, TracefsError};
use std::path::Path;

/// The kernel lacks something that is read there.
#[derive(Debug, thiserror::Error)]
pub enum OffsetError {
    /// A struct's member.
    #[error(
        "this kernel's {strukt} has no {member}; metamcp-guard {} needs it: Linux 6.1 to 7.3 were \
         tried", env!("CARGO_PKG_VERSION")
    )]
    Member {
        /// The struct.
        strukt: &'static str,
        /// The member.
        member: &'static str,
    },
    /// An event's field.
    #[error(transparent)]
    Event(#[from] TracefsError),
}

/// Name of the global, struct, member.
const MEMBERS: [(&str, &str, &str); 20] = [
    ("TASK_SIGNAL", "task_struct", "signal"),
    ("TASK_CGROUPS", "task_struct", "cgroups"),
    ("TASK_MM", "task_struct", "mm"),
    ("TASK_EXECS", "task_struct", "self_exec_id"),
    ("TASK_EXIT_CODE", "task_struct", "exit_code"),
    ("TASK_START", "task_struct", "start_boottime"),
    ("TASK_CHILDREN", "task_struct", "children"),
    ("TASK_SIBLING", "task_struct", "sibling"),
    ("TASK_PID", "task_struct", "pid"),
    ("TASK_TGID", "task_struct", "tgid"),
    ("TASK_PARENT", "task_struct", "real_parent"),
    ("SIGNAL_LIVE", "signal_struct", "live"),
    ("CSS_SET_CGROUP", "css_set", "dfl_cgrp"),
    ("CGROUP_KN", "cgroup", "kn"),
    ("CGROUP_ROOT", "cgroup", "root"),
    ("CSS_CGROUP", "cgroup_subsys_state", "cgroup"),
    ("KN_ID", "kernfs_node", "id"),
    ("ROOT_HIERARCHY", "cgroup_root", "hierarchy_id"),
    ("MM_ARG_START", "mm_struct", "arg_start"),
    ("MM_ARG_END", "mm_struct", "arg_end"),
];

/// Name of the global, category, event, field.
const EVENTS: [(&str, &str, &str, &str); 3] = [
    ("EVENT_NEWTASK_PID", "task", "task_newtask", "pid"),
    ("EVENT_NEWTASK_FLAGS", "task", "task_newtask", "clone_flags"),
    (
        "EVENT_FORK_CHILD",
        "sched",
        "sched_process_fork",
        "child_pid",
    ),
];

/// All globals with their values; those of classic events where there is a `tracefs` that has them.
///
/// # Errors
/// What this kernel lacks.
pub fn read(
    btf: &Btf<'_>,
    tracefs: Option<&Path>,
) -> Result<Vec<(&'static str, u32)>, OffsetError> {
    let of = |strukt, member| {
        let found = btf.find(strukt).and_then(|found| found.offset(member));
        found.ok_or(OffsetError::Member { strukt, member })
    };
    let mut all = Vec::with_capacity(MEMBERS.len() + EVENTS.len() + 1);
    for (global, strukt, member) in MEMBERS {
        all.push((global, of(strukt, member)?));
    }
    // A cgroup's parent is that of its own state, `self`.
    let parent = of("cgroup", "self")? + of("cgroup_subsys_state", "parent")?;
    all.push(("CGROUP_PARENT", parent));
    if let Some(tracefs) = tracefs {
        for (global, category, event, field) in EVENTS {
            all.push((global, tracefs::field(tracefs, category, event, field)?));
        }
    }
    Ok(all)
}
