//! Condemned processes, from their birth on: a few at a time are let run until they execute or fork,
//! so that an exec can be denied and their spawner sees a spawn that failed. Whoever is born beyond
//! them dies at once, before it has executed an instruction of its own, where the kernel can send a
//! signal to another task (`bpf_send_signal_task`, since 6.16): a storm of forks that never execute
//! anything is then bounded in bodies too.

use crate::maps::{self, Ref, Target};
use crate::{count, gate_word, task};
use guard_common::ProcessEntry;
use guard_common::entry::flag;
use guard_common::slots;
use guard_common::word::{Taken, Word};

/// Process `pid` of the target in `slot` was born condemned. 1: it is one of those that are let run.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn newborn_begins(slot: u32, pid: u32) -> u32 {
    let (Some(target), Some(entry)) = (maps::target(slot), maps::process(pid)) else {
        return 0;
    };
    let most = target.limits.get().newborn_max;
    let taken = slots::take(&gate_word!(target, newborns), 1, most);
    if taken == Taken::Yes {
        // Once, in the thread that gives birth to it: an addition sets the bit.
        entry.flags().fetch_add(flag::NEWBORN);
        return 1;
    }
    0
}

/// A process was born condemned.
#[inline(always)]
pub fn begins(slot: u32, pid: u32) {
    newborn_begins(slot, pid);
}

/// A process has ended; said once.
#[inline(always)]
pub fn ends(target: Target, entry: Ref<ProcessEntry>) {
    if entry.flags().load() & flag::NEWBORN != 0 {
        slots::give_back(&gate_word!(target, newborns), 1);
    }
}

/// The current thread has just given birth to `pid` and not woken it yet: it dies now, if it is
/// condemned and beyond those that are let run. Where the kernel does not send the signal, it is
/// condemned as all others are.
#[inline(always)]
pub fn kill_at_birth(target: Target, pid: u32, entry: Ref<ProcessEntry>) {
    let flags = entry.flags();
    let before = flags.load();
    if before & (flag::CONDEMNED | flag::NEWBORN | flag::KILLED) != flag::CONDEMNED {
        return;
    }
    if task::kill(pid) && flags.compare_exchange(before, before | flag::KILLED) == before {
        count!(target, killed).count();
    }
}
