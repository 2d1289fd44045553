//! Who went outside: remembered until it ends, so that coming back makes no guest of a member, and a
//! fork that its parent's move has overtaken is still counted where its child is.

use crate::maps::{self, Ref};
use crate::task::Fields;
use crate::{membership, task};
use guard_common::TargetKind;
use guard_common::entry::{ProcessEntry, flag};
use guard_common::word::Word;

/// Whether the process is outside by now.
#[inline(always)]
pub fn is_away(entry: Ref<ProcessEntry>) -> bool {
    entry.flags().load() & flag::AWAY != 0
}

/// Whether process `pid` was of the target in `slot`, and is away.
#[inline(always)]
pub fn was_of(slot: u32, pid: u32) -> bool {
    maps::process(pid).is_some_and(|entry| entry.get().slot == slot && is_away(entry))
}

/// A process that is away has forked a process, whose start and cgroup these are. Whether the current
/// process may put its children where it likes: outside, and back. What a container's process forks
/// outside is remembered too, or it would come back as a guest.
#[inline(always)]
fn forked(slot: u32, pid: u32, start_ns: u64, cgroup: Option<u64>) {
    // Its parent's move has overtaken the fork: it was copied before. Where there were two moves, that
    // was in the target between them.
    if let Some(inside) = cgroup.and_then(maps::cgroup_slot) {
        membership::late(inside, pid, start_ns);
        return;
    }
    let Some(target) = maps::target(slot) else {
        return;
    };
    if target.limits.get().kind == TargetKind::Container as u32 {
        let entry = ProcessEntry {
            tasks: 1,
            dead: 1,
            flags: flag::AWAY,
            start_ns,
            place: 0,
            slot,
            parent: task::tgid(),
        };
        maps::add_process(pid, &entry);
    }
}

/// The same of a child that only its pid is known of.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn forked_away(slot: u32, pid: u32) -> u32 {
    if let Some(child) = task::newborn(pid) {
        forked(slot, pid, child.task_start_ns(), child.task_cgroup_id());
    }
    0
}

/// The same where these are known.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn forked_away_to(slot: u32, pid: u32, start_ns: u64, cgroup: u64) -> u32 {
    forked(slot, pid, start_ns, Some(cgroup));
    0
}

/// A task of a process that is away exits.
#[inline(always)]
pub fn task_exits(pid: u32) {
    if task::live() == 0 {
        maps::remove_process(pid);
    }
}
