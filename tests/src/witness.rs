//! The witness: an independent count of one cgroup, to hold the guard's counts against.
//!
//! Its kernel half is `guard-ebpf/src/bin/witness.rs`, which says how it counts.

use std::collections::HashMap as Fields;
use std::fs;

use anyhow::{Context, Result, ensure};
use aya::maps::Array;
use aya::programs::TracePoint;
use aya::{Ebpf, EbpfLoader};

use crate::{Cgroup, place};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/witness.o"));

/// Category and name of what it hears, `sys_enter` last: until then nothing is missed by it.
const EVENTS: [(&str, &str); 4] = [
    ("task", "task_newtask"),
    ("sched", "sched_process_exec"),
    ("sched", "sched_process_exit"),
    ("raw_syscalls", "sys_enter"),
];

/// Counts one cgroup and what is nested in it, from its making to its drop.
#[derive(Debug)]
pub struct Witness {
    ebpf: Ebpf,
}

/// What the witness counted. "Running" are processes that have executed a program and made a
/// system call since, or came from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Forks that made a process.
    pub spawns: u64,
    /// Forks that made a thread.
    pub threads: u64,
    /// Execs that succeeded.
    pub execs: u64,
    /// Processes whose last task ended in the cgroup.
    pub exits: u64,
    /// Processes that came from outside.
    pub entered: u64,
    /// Processes that went outside alive.
    pub left: u64,
    /// Bodies now: every process that is not a zombie, condemned or not.
    pub live: u64,
    /// Most bodies at once.
    pub live_peak: u64,
    /// Running now.
    pub running: u64,
    /// Most running at once.
    pub running_peak: u64,
    /// All that ever ran.
    pub ran: u64,
    /// Tasks now.
    pub tasks: u64,
    /// What it could not count; anything but 0 makes the rest worthless.
    pub lost: u64,
}

const COUNTS: u32 = 13;

impl Witness {
    /// Begins to watch a cgroup, which should still be empty.
    ///
    /// # Errors
    /// Not root, no tracefs, or the kernel refuses the programs.
    pub fn watch(cgroup: &Cgroup) -> Result<Self> {
        let (id, level) = (cgroup.id()?, cgroup.level()?);
        let newtask = offsets("task", "task_newtask")?;
        let of = |field| {
            newtask
                .get(field)
                .copied()
                .with_context(|| format!("task_newtask has no {field}"))
        };
        let (pid, flags) = (of("pid")?, of("clone_flags")?);
        // Since 6.16; the witness knows what to do without.
        let exit = offsets("sched", "sched_process_exit")?;
        let dead = exit.get("group_dead").copied().unwrap_or(0);
        let mut ebpf = EbpfLoader::new()
            .override_global("WATCHED", &id, true)
            .override_global("LEVEL", &level, true)
            .override_global("NEWTASK_PID", &pid, true)
            .override_global("NEWTASK_FLAGS", &flags, true)
            .override_global("EXIT_DEAD", &dead, true)
            .load(OBJECT)
            .context("loading the witness")?;
        for (category, name) in EVENTS {
            let program = ebpf
                .program_mut(name)
                .with_context(|| format!("no program {name}"))?;
            let program: &mut TracePoint = program.try_into()?;
            program
                .load()
                .with_context(|| format!("the witness's {name}"))?;
            program
                .attach(category, name)
                .with_context(|| format!("attaching to {name}"))?;
        }
        Ok(Self { ebpf })
    }

    /// The counts now. Each is exact; together they are of one moment only in a quiet cgroup.
    ///
    /// # Errors
    /// The witness lost something, or its object is of another version.
    pub fn counts(&self) -> Result<Counts> {
        let map = self.ebpf.map("COUNTS").context("no map COUNTS")?;
        let array: Array<_, u64> = Array::try_from(map)?;
        ensure!(
            array.len() == COUNTS,
            "the witness's object counts other things: rebuild it"
        );
        let of = |index| array.get(&index, 0);
        let counts = Counts {
            spawns: of(0)?,
            threads: of(1)?,
            execs: of(2)?,
            exits: of(3)?,
            entered: of(4)?,
            left: of(5)?,
            live: of(6)?,
            live_peak: of(7)?,
            running: of(8)?,
            running_peak: of(9)?,
            ran: of(10)?,
            tasks: of(11)?,
            lost: of(12)?,
        };
        ensure!(
            counts.lost == 0,
            "the witness lost {} events: {counts:?}",
            counts.lost
        );
        Ok(counts)
    }
}

/// Where an event has its fields on this kernel.
fn offsets(category: &str, name: &str) -> Result<Fields<String, u32>> {
    let path = place::tracefs()?
        .join("events")
        .join(category)
        .join(name)
        .join("format");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().filter_map(field).collect())
}

/// `field:pid_t pid; offset:8; size:4; signed:1;` (with tabs) says that `pid` is at 8.
fn field(line: &str) -> Option<(String, u32)> {
    let mut parts = line.trim().strip_prefix("field:")?.split(';');
    let name = parts.next()?.rsplit(' ').next()?;
    let name = name.split('[').next()?;
    let offset = parts.find_map(|part| part.trim().strip_prefix("offset:"))?;
    Some((name.to_owned(), offset.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fields_offset_is_read_from_its_line() {
        let check = |line, expected: Option<(&str, u32)>| {
            assert_eq!(
                field(line),
                expected.map(|(name, at)| (name.to_owned(), at)),
                "{line}"
            );
        };
        check(
            "\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;",
            Some(("pid", 8)),
        );
        check(
            "\tfield:char comm[16];\toffset:12;\tsize:16;\tsigned:0;",
            Some(("comm", 12)),
        );
        check("print fmt: \"pid=%d\", REC->pid", None);
        check("\tfield:u64 broken", None);
    }
}
