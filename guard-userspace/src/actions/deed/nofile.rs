//! Open files of each process: Docker sets that at a container's start alone, so it is done process by
//! process. Those that are born later have it from their parents, but for what `docker exec` brings in.

use super::steps::Steps;
use crate::evidence::{process, tree};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, pidfd_open, prlimit};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Passes over the target: who is born during one has it from a parent that may not have had it yet.
const PASSES: usize = 3;

/// Sets soft and hard limit of all processes of the cgroup `dir`.
pub fn set(dir: &Path, v2_mount: &Path, (soft, hard): (u64, u64), steps: &mut Steps) {
    let wanted = Rlimit {
        current: Some(soft),
        maximum: Some(hard),
    };
    let Ok(below) = dir.strip_prefix(v2_mount) else {
        return steps.failed("nofile", "", "its cgroup is not in the v2 hierarchy");
    };
    let mut tally = Tally::default();
    for _ in 0..PASSES {
        tally = Tally::default();
        for pid in tree::all_pids(dir) {
            tally.add(one(pid, below, wanted));
        }
        if tally.changed == 0 {
            break;
        }
    }
    let words = format!("{} of {} processes have it", tally.done, tally.all);
    let value = format!("{soft}:{hard}");
    match tally.why {
        None => steps.is("nofile", value, words),
        Some(why) => steps.failed("nofile", value, format!("{words}: {why}")),
    }
}

#[derive(Default)]
struct Tally {
    all: u64,
    done: u64,
    changed: u64,
    why: Option<String>,
}

impl Tally {
    fn add(&mut self, one: One) {
        match one {
            One::Had => self.done += 1,
            One::Set => {
                self.done += 1;
                self.changed += 1;
            }
            One::Gone => return,
            One::Failed(why) => self.why = Some(why),
        }
        self.all += 1;
    }
}

enum One {
    Had,
    Set,
    /// It is none of the target's any more.
    Gone,
    Failed(String),
}

/// There is no prlimit by pidfd. The process is held, and looked at before and after: a pid that became
/// another's in between gets back what it had.
fn one(pid: u32, below: &Path, wanted: Rlimit) -> One {
    let Some(named) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return One::Gone;
    };
    let Ok(held) = pidfd_open(named, PidfdFlags::empty()) else {
        return One::Gone;
    };
    let is_there = || process::cgroup(pid).is_some_and(|cgroup| cgroup.starts_with(below));
    if below.as_os_str().is_empty() || !is_there() {
        return One::Gone;
    }
    match prlimit(Some(named), Resource::Nofile, wanted) {
        Ok(before) if before == wanted => One::Had,
        Ok(before) if has_ended(&held) => {
            if !is_there() {
                let _ = prlimit(Some(named), Resource::Nofile, before);
            }
            One::Gone
        }
        Ok(_) => One::Set,
        Err(rustix::io::Errno::SRCH) => One::Gone,
        Err(error) => One::Failed(format!("pid {pid}: {error}")),
    }
}

/// A pidfd can be read when its process has ended.
fn has_ended(held: &OwnedFd) -> bool {
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(held, PollFlags::IN)];
    poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0)
}
