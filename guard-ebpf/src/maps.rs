//! Every map, its size and why, and safe ways into their values.

mod processes;
mod said;
mod words;

pub use processes::{add_process, any_process, process, remove_process, replace_process, watched};
pub use said::{may_say_near, may_speak, near_slots};

use crate::atomic::Cell;
use crate::detail::Exec;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, RingBuf};
use core::mem::MaybeUninit;
use guard_common::abi::{MAX_CGROUPS, MAX_TARGETS, MAX_TREES, PATH_MAX, RING_BYTES};
use guard_common::life::{self, Note};
use guard_common::record::{Header, Process, RateSample};
use guard_common::tree::Grant;
use guard_common::word::Word;
use guard_common::{GateLimits, GateState, TargetCounters, TreeEntry};

/// Flags of an insertion: where there is none, where there is one.
const BPF_NOEXIST: u64 = 1;
const BPF_EXIST: u64 = 2;

/// A value of a map that stays valid for the run of the program.
pub struct Ref<T>(*mut T);

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ref<T> {}

impl<T> Ref<T> {
    /// The word at `offset`, which must come from `offset_of!` of a u64 or i64 field.
    #[inline(always)]
    pub fn word(self, offset: usize) -> Cell {
        // SAFETY: the pointer came from a lookup and the offset from offset_of!; the verifier
        // checks both again.
        unsafe { Cell::new(self.0.byte_add(offset).cast()) }
    }
}

impl<T: Copy> Ref<T> {
    /// The value as it is now, for fields that are written once or by the agent.
    #[inline(always)]
    pub fn get(&self) -> &T {
        // SAFETY: the pointer came from a lookup; values are plain old data.
        unsafe { &*self.0 }
    }
}

/// Trees and entries from outside by id. Preallocated, as is PROCESSES.
#[map]
static TREES: HashMap<u64, TreeEntry> = HashMap::with_max_entries(MAX_TREES, 0);

/// The id that was given to a tree last.
#[map]
static LAST_TREE: Array<u64> = Array::with_max_entries(1, 0);

/// Target slots by cgroup id: targets and what is nested in them.
#[map]
static CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(MAX_CGROUPS, 0);

/// Target slots by what will name a cgroup that is not there yet: its path below the v2 mount, or
/// the 64 digits of a container id, NUL-padded. Written by the agent.
#[map]
static EXPECTED: HashMap<[u8; PATH_MAX], u32> = HashMap::with_max_entries(2 * MAX_TARGETS, 0);

/// Counts, one value per slot. The agent has it in its own memory, as GATES (main.rs says why).
#[map]
static COUNTERS: Array<TargetCounters> = Array::with_max_entries(MAX_TARGETS, BPF_F_MMAPABLE);

/// The gate's words, one value per slot.
#[map]
static GATES: Array<GateState> = Array::with_max_entries(MAX_TARGETS, BPF_F_MMAPABLE);

/// Limits, one value per slot. Written by the agent.
#[map]
static LIMITS: Array<GateLimits> = Array::with_max_entries(MAX_TARGETS, 0);

/// What was taken by a fork that has not succeeded yet, by the forking task's tid: as many
/// as tasks can be inside fork at once.
#[map]
static PENDING: HashMap<u32, Pending> = HashMap::with_max_entries(16_384, 0);

/// How many entries PENDING has. Nearly always 0, and then nobody need look: outside of `lsm`
/// mode this costs a fork or exit one load, where a miss costs a hash.
#[map]
static IN_FLIGHT: Array<u64> = Array::with_max_entries(1, 0);

/// When a full table was last spoken of, in ns of CLOCK_BOOTTIME.
#[map]
static SPOKEN: Array<u64> = Array::with_max_entries(1, 0);

/// The slot of the target that is being armed, plus 1; 0: none. Written by the agent.
#[map]
static ARMING: Array<u64> = Array::with_max_entries(1, 0);

/// A target is near its limits while fewer slots than this are free. Written by the agent.
#[map]
static NEAR: Array<u64> = Array::with_max_entries(MAX_TARGETS, 0);

/// When that was last said of a target, in ns of CLOCK_BOOTTIME.
#[map]
static NEAR_SAID: Array<u64> = Array::with_max_entries(MAX_TARGETS, 0);

/// What the agent writes down: its heartbeat, and what later agents are to know. Written by the agent.
#[map]
static NOTES: Array<Note> = Array::with_max_entries(life::NOTES, 0);

/// What each thread's last event of each kind was, for programs of which several copies hear it: those that
/// are attached by type. An entry that gave way would count one event twice: as many as threads are
/// within an event at once are more than enough.
#[map]
static HEARD: LruHashMap<u64, u64> = LruHashMap::with_max_entries(4_096, 0);

/// Records to the agent.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// What a fork in flight has taken.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pending {
    /// The child's task_struct: names the fork.
    pub child: u64,
    /// What it was given.
    pub grant: Grant,
    /// The target's slot.
    pub slot: u32,
    /// Padding, 0.
    pub reserved: u32,
}

/// What all hooks of a target need.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its slot.
    pub slot: u32,
    /// Its counts.
    pub counters: Ref<TargetCounters>,
    /// Its gate's words.
    pub gate: Ref<GateState>,
    /// Its limits.
    pub limits: Ref<GateLimits>,
}

/// The target in `slot`.
#[inline(always)]
pub fn target(slot: u32) -> Option<Target> {
    Some(Target {
        slot,
        counters: Ref(COUNTERS.get_ptr_mut(slot)?),
        gate: Ref(GATES.get_ptr_mut(slot)?),
        limits: Ref(LIMITS.get_ptr_mut(slot)?),
    })
}

/// A tree.
///
/// Its element may be another's by the time it is looked at; its word tells
/// ([`guard_common::tree::account`]).
#[inline(always)]
pub fn tree(id: u64) -> Option<Ref<TreeEntry>> {
    TREES.get_ptr_mut(id).map(Ref)
}

/// Adds a tree; false where there is no room.
#[inline(always)]
pub fn add_tree(id: u64, entry: &TreeEntry) -> bool {
    TREES.insert(id, entry, BPF_NOEXIST).is_ok()
}

/// Removes a tree.
#[inline(always)]
pub fn remove_tree(id: u64) {
    let _ = TREES.remove(id);
}

/// The id that was given to a tree last.
#[inline(always)]
pub fn last_tree() -> Option<Cell> {
    only(&LAST_TREE)
}

/// The only word of an array.
#[inline(always)]
fn only(array: &Array<u64>) -> Option<Cell> {
    word(array, 0)
}

#[inline(always)]
fn word(array: &Array<u64>, index: u32) -> Option<Cell> {
    array.get_ptr_mut(index).map(|word| {
        // SAFETY: a u64 array's value, just looked up.
        unsafe { Cell::new(word) }
    })
}

/// Whether the agent is gone for so long that the gate is to let all pass.
#[inline(always)]
pub fn lets_go() -> bool {
    NOTES
        .get(life::HEARTBEAT)
        .is_some_and(|heart| heart.lets_go(crate::task::awake_ns()))
}

/// Whether any target is being armed now.
#[inline(always)]
pub fn arming_any() -> bool {
    ARMING.get(0).is_some_and(|&slot| slot != 0)
}

/// Whether the target in `slot` is being armed now.
#[inline(always)]
pub fn arming(slot: u32) -> bool {
    ARMING.get(0) == Some(&(u64::from(slot) + 1))
}

/// The slot of a cgroup.
#[inline(always)]
pub fn cgroup_slot(id: u64) -> Option<u32> {
    // SAFETY: the value is one word and never torn; an entry removed meanwhile is a target gone.
    unsafe { CGROUPS.get(id) }.copied()
}

/// Tags a cgroup; false where there is no room.
#[inline(always)]
pub fn tag_cgroup(id: u64, slot: u32) -> bool {
    CGROUPS.insert(id, slot, 0).is_ok()
}

/// Takes a cgroup's tag away.
#[inline(always)]
pub fn untag_cgroup(id: u64) {
    let _ = CGROUPS.remove(id);
}

/// The slot that waits for a cgroup of this name.
#[inline(always)]
pub fn expected(name: &[u8; PATH_MAX]) -> Option<u32> {
    // SAFETY: as for `cgroup_slot`.
    unsafe { EXPECTED.get(name) }.copied()
}

/// What the fork under way in task `tid` has taken.
#[inline(always)]
pub fn pending(tid: u32) -> Option<Pending> {
    if only(&IN_FLIGHT)?.load() == 0 {
        return None;
    }
    // SAFETY: only task `tid` itself adds and removes this key.
    unsafe { PENDING.get(tid) }.copied()
}

/// Remembers what the fork under way in task `tid` has taken; false where there is no room. The
/// count goes up first and down last, so that nobody who must look is told not to.
#[inline(always)]
pub fn set_pending(tid: u32, pending: &Pending) -> bool {
    let Some(in_flight) = only(&IN_FLIGHT) else {
        return false;
    };
    in_flight.count();
    let added = PENDING.insert(tid, pending, BPF_NOEXIST).is_ok();
    if !added {
        in_flight.fetch_sub(1);
    }
    added
}

/// Forgets it; false where there was nothing: whoever gets true has it to use or to give back.
#[inline(always)]
fn clear_pending(tid: u32) -> bool {
    let removed = PENDING.remove(tid).is_ok();
    if removed && let Some(in_flight) = only(&IN_FLIGHT) {
        in_flight.fetch_sub(1);
    }
    removed
}

/// Takes it over.
#[inline(always)]
pub fn take_pending(tid: u32) -> Option<Pending> {
    let pending = pending(tid)?;
    clear_pending(tid).then_some(pending)
}

/// The last event of this key that was heard.
#[inline(always)]
pub fn heard(key: u64) -> Option<u64> {
    // SAFETY: only the thread that the key names reads and writes it.
    unsafe { HEARD.get(key) }.copied()
}

/// Remembers it.
#[inline(always)]
pub fn hear(key: u64, id: u64) {
    let _ = HEARD.insert(key, id, 0);
}

/// Fills one record of the ring buffer in place and submits it; false where it is full.
#[inline(always)]
pub fn submit<T: 'static>(flags: u64, fill: impl FnOnce(&mut MaybeUninit<T>)) -> bool {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        return false;
    };
    fill(&mut entry);
    entry.submit(flags);
    true
}

/// Fills a rate sample in place; word by word, since the whole of it would not fit the stack of
/// a program that has others above it.
#[inline(always)]
pub fn fill_sample(
    to: &mut MaybeUninit<RateSample>,
    header: Header,
    second: u64,
    committed: u64,
    counters: Ref<TargetCounters>,
) {
    let to = to.as_mut_ptr();
    // SAFETY: `to` is a whole reserved record; TargetCounters is made of u64 words alone.
    unsafe {
        (&raw mut (*to).header).write(header);
        (&raw mut (*to).second).write(second);
        (&raw mut (*to).committed).write(committed);
        let words = (&raw mut (*to).counters).cast::<u64>();
        for i in 0..size_of::<TargetCounters>() / 8 {
            let word = core::ptr::read_volatile(counters.0.cast::<u64>().add(i));
            core::ptr::write_volatile(words.add(i), word);
        }
    }
}

/// Fills an exec record in place, command line and its length last.
#[inline(always)]
pub fn fill_exec(to: &mut MaybeUninit<Exec>, head: Process) {
    let to = to.as_mut_ptr().cast::<u8>();
    // SAFETY: `to` is a whole reserved record, of which Process is the first part.
    unsafe {
        to.cast::<Process>().write(head);
        let len = crate::task::copy_args(to.add(Exec::ARGS));
        to.add(Exec::ARGS_LEN).cast::<u32>().write(len);
    }
}

impl Ref<TreeEntry> {
    /// Names its first process.
    #[inline(always)]
    pub fn set_root(self, pid: u32) {
        // SAFETY: the pointer came from a lookup; the field is a u32 that is written once.
        unsafe {
            let root = self
                .0
                .byte_add(core::mem::offset_of!(TreeEntry, root))
                .cast::<u32>();
            root.write_volatile(pid);
        }
    }
}
