//! Ends condemned processes that have had their chance: no exec and no fork, where the kernel side
//! would have ended them.

use super::Held;
use crate::agent::clock;
use crate::evidence::{process, tree};
use crate::kernel::control::Asker;
use crate::policy::condemned::overdue;
use guard_common::abi::Control;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Ends those of one target, in its cgroup or, where `everywhere`, wherever they went from there. Says
/// whether there are any, overdue or not.
pub fn sweep(held: &Held, everywhere: bool, asker: &Asker) -> bool {
    if !asker.ask(Control::Condemned, held.slot, 0) {
        return false;
    }
    let pids = if everywhere {
        process::all_pids().collect()
    } else {
        tree::all_pids(&held.dir)
    };
    for pid in pids {
        if asker.ask(Control::Condemned, held.slot, u64::from(pid)) {
            end(held, pid, asker);
        }
    }
    true
}

/// Ends one that is overdue. The pid may be another's at any moment: first the process is held, and
/// then the kernel side is asked whether who has the pid is condemned. If that is another process by
/// now, the held one is dead and the signal goes nowhere.
fn end(target: &Held, pid: u32, asker: &Asker) {
    let Some(held) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    let Ok(held) = pidfd_open(held, PidfdFlags::empty()) else {
        return;
    };
    let Some(age) = process::age(pid, clock::now().boot_ns) else {
        return;
    };
    if !overdue(age.cpu, age.life, target.denies)
        || !asker.ask(Control::Sentence, target.slot, u64::from(pid))
    {
        return;
    }
    tracing::debug!(
        pid,
        ?age,
        "a condemned process has done nothing for too long, and is ended"
    );
    if let Err(error) = pidfd_send_signal(&held, Signal::KILL) {
        tracing::debug!(%error, pid, "a condemned process ended by itself");
    }
}
