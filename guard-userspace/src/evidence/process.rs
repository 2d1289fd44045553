//! One process, as /proc shows it at one moment.

use crate::mask;
use procfs::process::{ProcState, Process, Stat, StatFlags};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most that is read of a command line, in bytes: a process can write megabytes there.
const LINE_MAX: usize = 16 << 10;

/// A process that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its start in nanoseconds of CLOCK_BOOTTIME, rounded down to the clock tick.
    pub start_ns: u64,
    /// Its tasks, without those that are ending.
    pub tasks: u64,
}

/// What /proc says of `pid` (a thread-group id); `None`: no such process, or all of it is ending.
///
/// A task that has begun to end does not count. It is still there, and not a zombie, for some time
/// after its end was told (sched_process_exit comes before exit_notify() in do_exit(), kernel/exit.c):
/// whoever took it for alive then would wait for an end that never comes (6.12, adoption in a storm).
/// PF_EXITING is set before its end is told, so without it that is still to come.
#[must_use]
pub fn look(pid: u32) -> Option<Seen> {
    let process = process(pid)?;
    let started = process.stat().ok()?.starttime;
    let tasks = process.tasks().ok()?.flatten();
    let living = tasks.filter(|task| task.stat().is_ok_and(|stat| is_living(&stat)));
    let tasks = u64::try_from(living.count())
        .ok()
        .filter(|tasks| *tasks > 0)?;
    Some(Seen {
        start_ns: started.checked_mul(ns_per_tick())?,
        tasks,
    })
}

/// How a process stands to others, and what it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kin {
    /// Its start in clock ticks since boot.
    pub start_ticks: u64,
    /// Its parent's pid; 0: it is outside of what this process sees.
    pub parent: u32,
    /// Its session: the pid of that session's first process.
    pub session: u32,
    /// Its command line, masked. A process can write anything over it.
    pub argv: Vec<String>,
}

/// What /proc says of `pid`'s relations; `None`: no such process.
#[must_use]
pub fn kin(pid: u32) -> Option<Kin> {
    let process = process(pid)?;
    let stat = process.stat().ok()?;
    Some(Kin {
        start_ticks: stat.starttime,
        parent: u32::try_from(stat.ppid).ok()?,
        session: u32::try_from(stat.session).ok()?,
        argv: command_line(pid).unwrap_or_default(),
    })
}

/// procfs would give nothing at all of a line that is not UTF-8, and read one of any length.
fn command_line(pid: u32) -> io::Result<Vec<String>> {
    let mut line = Vec::new();
    let file = File::open(format!("/proc/{pid}/cmdline"))?;
    file.take(LINE_MAX as u64 + 1).read_to_end(&mut line)?;
    Ok(arguments(&line))
}

/// Arguments, each ended by NUL, masked. One that is cut is left out: half a secret has no telling shape.
fn arguments(line: &[u8]) -> Vec<String> {
    let whole = match line.get(..LINE_MAX) {
        Some(first) if line.len() > LINE_MAX => {
            let end = first.iter().rposition(|byte| *byte == 0).unwrap_or(0);
            first.get(..end).unwrap_or_default()
        }
        _ => line,
    };
    let words = whole.split(|byte| *byte == 0);
    let words = words.filter(|word| !word.is_empty());
    mask::each(&words.map(String::from_utf8_lossy).collect::<Vec<_>>())
}

/// What a process has used and how long it has lived, in clock ticks' precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// CPU time of its threads, also of those that ended.
    pub cpu: Duration,
    /// Since its start.
    pub life: Duration,
}

/// The age of `pid` when CLOCK_BOOTTIME says `boot_ns`; `None`: no such process.
#[must_use]
pub fn age(pid: u32, boot_ns: u64) -> Option<Age> {
    let stat = process(pid)?.stat().ok()?;
    let ns = |ticks: u64| ticks.saturating_mul(ns_per_tick());
    Some(Age {
        cpu: Duration::from_nanos(ns(stat.utime.saturating_add(stat.stime))),
        life: Duration::from_nanos(boot_ns.saturating_sub(ns(stat.starttime))),
    })
}

/// Nanoseconds in the clock ticks of /proc, which the kernel rounds down too.
#[must_use]
pub fn ticks(ns: u64) -> u64 {
    ns.checked_div(ns_per_tick()).unwrap_or(0)
}

/// Nanoseconds in a clock tick, in which /proc tells times.
#[must_use]
pub fn ns_per_tick() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

/// Pids of all processes of the host. Not atomic.
pub fn all_pids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn is_living(stat: &Stat) -> bool {
    let ended = matches!(stat.state(), Ok(ProcState::Zombie | ProcState::Dead));
    let flags = StatFlags::from_bits_truncate(stat.flags);
    !ended && !flags.contains(StatFlags::PF_EXITING)
}

/// The process's cgroup in the v2 hierarchy, as a path below its mount.
#[must_use]
pub fn cgroup(pid: u32) -> Option<PathBuf> {
    let all = process(pid)?.cgroups().ok()?;
    let v2 = all.0.into_iter().find(|one| one.hierarchy == 0)?;
    let below = v2.pathname.trim_start_matches('/');
    Some(Path::new(below).to_owned())
}

/// Whether this process sees the pids that the kernel side sees; `None`: it cannot be told.
///
/// The inode of the first pid namespace is fixed (PROC_PID_INIT_INO, include/linux/proc_ns.h).
#[must_use]
pub fn sees_host_pids() -> Option<bool> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link == Path::new("pid:[4026531836]"))
}

/// By how many seconds this process's clocks go before the kernel side's: another time namespace than the
/// host's may have offsets (time_namespaces(7)), and then no start of a process is what the kernel side
/// says. `None`: it cannot be told, as where the kernel has no such namespaces.
#[must_use]
pub fn clocks_ahead() -> Option<i64> {
    ahead(&std::fs::read_to_string("/proc/self/timens_offsets").ok()?)
}

/// `CLOCK SECONDS NANOSECONDS` are its lines; the nanoseconds are never negative. The first that is not 0.
fn ahead(offsets: &str) -> Option<i64> {
    let clocks = offsets.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (seconds, rest): (i64, i64) =
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(if seconds == 0 && rest != 0 {
            1
        } else {
            seconds
        })
    });
    clocks.reduce(|first, next| if first == 0 { next } else { first })
}

fn process(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromRead;
    use proptest::prelude::*;

    #[test]
    fn a_command_line_is_read_whatever_is_in_it() {
        let check = |line: &[u8], expected: &[&str]| assert_eq!(arguments(line), expected);
        check(b"node\0x.js\0", &["node", "x.js"]);
        check(
            b"node\0\xff\xfe\0--token\0hunter2\0",
            &["node", "\u{fffd}\u{fffd}", "--token", "***"],
        );
        check(b"written over", &["written over"]);
        check(b"", &[]);
        let long = [&b"node\0"[..], &[b'x'; LINE_MAX]].concat();
        check(&long, &["node"]);
        check(&[b'x'; LINE_MAX + 1], &[]);
        assert!(!kin(std::process::id()).unwrap().argv.is_empty());
    }

    #[test]
    fn a_clock_of_another_time_namespace_is_seen() {
        let check = |text: &str, expected| assert_eq!(ahead(text), expected, "{text:?}");
        check(
            "monotonic           0         0\nboottime            0         0\n",
            Some(0),
        );
        check("monotonic  0  0\nboottime -86400 500\n", Some(-86_400));
        check("monotonic  7  0\nboottime 0 0\n", Some(7));
        check("boottime 0 500\n", Some(1));
        for nonsense in ["", "boottime", "boottime x 0", "monotonic 1"] {
            check(nonsense, None);
        }
        assert_eq!(clocks_ahead().unwrap_or(0), 0, "of these tests");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_command_line(line: Vec<u8>) {
            let _ = arguments(&line);
        }

        /// `comm` is what a process likes, of at most 15 bytes; what is behind it is the kernel's. (procfs
        /// panics at a line that ends with `comm`, which no kernel writes.)
        #[test]
        fn any_name_of_a_process_is_read(comm in prop::collection::vec(any::<u8>(), 0..16)) {
            let fields = "1 1 1 0 -1 64 0 0 0 0 1 2 0 0 20 0 3 0 777 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0";
            let line = [b"1 (", &comm[..], b") S ", fields.as_bytes(), b"\n"].concat();
            let stat = Stat::from_read(&line[..]);
            prop_assert_eq!(stat.ok().map(|stat| (stat.starttime, is_living(&stat))), Some((777, true)));
        }
    }

    #[test]
    fn this_process_lives_and_has_a_start() {
        let me = std::process::id();
        let seen = look(me).unwrap();
        assert!(seen.tasks >= 1 && seen.start_ns > 0, "{seen:?}");
        assert_eq!(look(me).unwrap().start_ns, seen.start_ns);
        assert!(cgroup(me).is_some());
        assert_eq!(look(0), None);
        assert_eq!(look(u32::MAX), None);
    }
}
