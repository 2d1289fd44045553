//! Reminds a parent of its children that have ended: SIGCHLD, which does nothing to a process that has
//! no handler for it.

use crate::evidence::process;
use crate::evidence::stat::figures;
use crate::model::ProcessKey;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use std::path::Path;

/// Sends it, if the process is still the one that was meant and still in the target's cgroup. What is
/// left is the moment between that look and the signal.
///
/// # Errors
/// It has ended, it is not in the target any more, or it is never to be signalled.
pub fn nudge(parent: ProcessKey, below: &Path) -> Result<(), String> {
    let pid = parent.pid;
    let gone = || format!("pid {pid} has ended meanwhile");
    if pid == 1 || i64::from(pid) == i64::from(getpid().as_raw_nonzero().get()) {
        return Err(format!("pid {pid} is never signalled"));
    }
    let named = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(gone)?;
    // Held first, and then asked for: if the pid is another's by then, what is held is dead.
    let held = pidfd_open(named, PidfdFlags::empty()).map_err(|_| gone())?;
    let seen = figures(pid).ok_or_else(gone)?;
    if seen.start_ticks != parent.start_ticks {
        return Err(gone());
    }
    // A kernel thread is in no target: this says so too.
    let cgroup = process::cgroup(pid).ok_or_else(gone)?;
    if below.as_os_str().is_empty() || !cgroup.starts_with(below) {
        return Err(format!("pid {pid} is not in the target any more"));
    }
    pidfd_send_signal(&held, Signal::CHILD)
        .map_err(|error| format!("SIGCHLD to pid {pid}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn nobody_is_reminded_who_is_not_meant() {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let key = |pid| ProcessKey {
            pid,
            start_ticks: figures(pid).map_or(0, |figures| figures.start_ticks),
        };
        let own = process::cgroup(child.id()).unwrap();
        let check = |key, below: &Path, word: &str| {
            let why = nudge(key, below).unwrap_err();
            assert!(why.contains(word), "{why}");
        };
        check(key(1), &own, "never");
        check(key(std::process::id()), &own, "never");
        let child_now = key(child.id());
        let another = ProcessKey {
            start_ticks: child_now.start_ticks + 1,
            ..child_now
        };
        check(another, &own, "has ended");
        check(child_now, Path::new("no/such/cgroup"), "not in the target");
        check(child_now, Path::new(""), "not in the target");
        child.kill().unwrap();
        child.wait().unwrap();
        check(child_now, &own, "has ended");
    }
}
