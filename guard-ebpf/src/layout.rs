//! The structs that both sides share, in the object's own type information.
//!
//! bpf-linker keeps the types of statics alone. With this one the agent can hold each struct
//! against its own before it loads the object (guard-userspace/src/kernel/layout.rs).

use core::mem::MaybeUninit;
use guard_common::life::Note;
use guard_common::record::{Breach, Cgroup, Near, Process, RateSample};
use guard_common::{GateLimits, GateState, ProcessEntry, TreeEntry};

/// Never read or written.
#[repr(C)]
struct Shared {
    sample: RateSample,
    breach: Breach,
    process: Process,
    cgroup: Cgroup,
    near: Near,
    entry: ProcessEntry,
    tree: TreeEntry,
    limits: GateLimits,
    gate: GateState,
    note: Note,
}

#[used]
#[unsafe(no_mangle)]
static SHARED: MaybeUninit<Shared> = MaybeUninit::zeroed();
