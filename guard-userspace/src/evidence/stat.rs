//! Figures of single processes, read quickly: of five hundred at a time, while a storm goes on.

use super::process::ns_per_tick;
use std::fs::File;
use std::io::Read;

/// Longest line of /proc/PID/stat: 52 numbers and a name of 16 bytes (64 in kernel threads).
const LINE_MAX: usize = 2_048;

/// Of /proc/PID/stat what tells who works, who waits and who has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Its name, as it calls itself.
    pub comm: String,
    /// It has ended and was not waited for.
    pub is_zombie: bool,
    /// Its parent's pid; 0: outside of what this process sees.
    pub parent: u32,
    /// CPU time of its threads, also of those that ended, in ns (in clock ticks' precision).
    pub cpu_ns: u64,
    /// Its start in clock ticks since boot.
    pub start_ticks: u64,
    /// Resident memory, in bytes; pages that it shares with others too. Kernels since 6.2 tell it some
    /// pages late per CPU.
    pub memory_bytes: u64,
}

/// The figures of `pid` (a thread-group id); `None`: no such process.
#[must_use]
pub fn figures(pid: u32) -> Option<Figures> {
    let mut line = [0; LINE_MAX];
    let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let mut filled = 0;
    while let Some(rest) = line.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(_) => return None,
        }
    }
    parse(line.get(..filled)?)
}

/// A name may have anything in it, brackets and spaces too: it ends at the last bracket.
fn parse(line: &[u8]) -> Option<Figures> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')')?;
    let comm = String::from_utf8_lossy(line.get(open + 1..close)?).into_owned();
    let rest = core::str::from_utf8(line.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc(5) counts from 1, and the state is the third.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)?.saturating_add(number(15)?);
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(Figures {
        comm,
        is_zombie: matches!(fields.first(), Some(&"Z" | &"X")),
        parent: u32::try_from(number(4)?).ok()?,
        cpu_ns: ticks.saturating_mul(ns_per_tick()),
        start_ticks: number(22)?,
        memory_bytes: number(24)?.saturating_mul(page),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_may_have_brackets_in_it() {
        let line = b"42 (a) S 9 (b) Z 7 42 42 0 -1 4194304 1 2 3 4 10 20 5 6 20 0 1 0 777 8192 3 \
                     18446744073709551615 1 1\n";
        let found = parse(line).unwrap();
        let page = u64::try_from(rustix::param::page_size()).unwrap();
        let expected = Figures {
            comm: "a) S 9 (b".to_owned(),
            is_zombie: true,
            parent: 7,
            cpu_ns: 30 * ns_per_tick(),
            start_ticks: 777,
            memory_bytes: 3 * page,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn this_process_is_as_procfs_has_it() {
        let mine = figures(std::process::id()).unwrap();
        let stat = procfs::process::Process::myself().unwrap().stat().unwrap();
        assert_eq!(mine.start_ticks, stat.starttime);
        assert_eq!(i64::from(mine.parent), i64::from(stat.ppid));
        assert!(!mine.is_zombie && mine.memory_bytes > 0, "{mine:?}");
        assert_eq!(figures(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(line: Vec<u8>) {
            let _ = parse(&line);
        }
    }
}
