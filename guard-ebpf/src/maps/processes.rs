//! Who is watched: entries by process, and a sieve before them.

use super::{BPF_EXIST, BPF_NOEXIST, Ref, only, word};
use crate::atomic::Cell;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use guard_common::ProcessEntry;
use guard_common::abi::MAX_PROCESSES;
use guard_common::word::Word;

/// Entries beyond [`MAX_PROCESSES`], at which the gate refuses: what is condemned, or entered
/// unasked, needs an entry too, or nobody would know it at its exec.
const SPARE_PROCESSES: u32 = MAX_PROCESSES / 8;

/// Process entries by tgid. Preallocated: the fork path may not sleep.
#[map]
static PROCESSES: HashMap<u32, ProcessEntry> =
    HashMap::with_max_entries(MAX_PROCESSES + SPARE_PROCESSES, 0);

/// How many entries of PROCESSES have a tgid of this residue: asked first, since most processes are
/// nobody's. A miss in PROCESSES touches a cache line of its own for each tgid, in 2 MB of them; here eight
/// tgids that follow each other share one, in 32 kB.
#[map]
static SIEVE: Array<u64> = Array::with_max_entries(SIEVE_SIZE, 0);

/// Residues: a power of two.
const SIEVE_SIZE: u32 = 4_096;

/// Watched processes, over all targets.
#[map]
static WATCHED: Array<u64> = Array::with_max_entries(1, 0);

/// The entry of process `tgid`.
///
/// Entries are preallocated and could be reused while we look at them; whoever asks holds the
/// process alive: a task of it forks, executes, exits, or is moved under cgroup_mutex.
#[inline(always)]
pub fn process(tgid: u32) -> Option<Ref<ProcessEntry>> {
    PROCESSES.get_ptr_mut(tgid).map(Ref)
}

/// The same, quickly where there is none: for hooks that run for every process of the host.
#[inline(always)]
pub fn any_process(tgid: u32) -> Option<Ref<ProcessEntry>> {
    if residue(tgid)?.load() == 0 {
        return None;
    }
    process(tgid)
}

/// How many entries there are of this residue.
#[inline(always)]
fn residue(tgid: u32) -> Option<Cell> {
    word(&SIEVE, tgid % SIEVE_SIZE)
}

/// Adds an entry; false where there is one already or no room.
#[inline(always)]
pub fn add_process(tgid: u32, entry: &ProcessEntry) -> bool {
    // Up before the entry is there and down after it is gone, so that nobody who has one is not looked up.
    let Some(residue) = residue(tgid) else {
        return false;
    };
    residue.count();
    let added = PROCESSES.insert(tgid, entry, BPF_NOEXIST).is_ok();
    if !added {
        residue.fetch_sub(1);
    } else if let Some(watched) = watched() {
        watched.count();
    }
    added
}

/// Puts another entry in the place of one that is there, in one step; false where there is none.
#[inline(always)]
pub fn replace_process(tgid: u32, entry: &ProcessEntry) -> bool {
    PROCESSES.insert(tgid, entry, BPF_EXIST).is_ok()
}

/// Removes an entry; false where another was first.
#[inline(always)]
pub fn remove_process(tgid: u32) -> bool {
    let removed = PROCESSES.remove(tgid).is_ok();
    if removed {
        if let Some(watched) = watched() {
            watched.fetch_sub(1);
        }
        if let Some(residue) = residue(tgid) {
            residue.fetch_sub(1);
        }
    }
    removed
}

/// The count of entries.
#[inline(always)]
pub fn watched() -> Option<Cell> {
    only(&WATCHED)
}
