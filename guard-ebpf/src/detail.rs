//! Records of single events: processes, sampled under load, and breaches, at once.

use crate::maps::{self, Ref, Target};
use crate::{count, gate_word, task};
use core::mem::MaybeUninit;
use guard_common::ProcessEntry;
use guard_common::abi::{
    ARGS_MAX, BREACH_EVERY_NS, DETAIL_PER_SECOND, LAYOUT_VERSION, NEAR_EVERY_NS,
};
use guard_common::entry::flag;
use guard_common::record::{Breach, Cgroup, Header, Near, Process, kind, what};
use guard_common::tree::{Place, Role};
use guard_common::word::Word;

/// No wake-up: the reader looks ten times a second anyway, and a wake-up costs 9 µs.
const NO_WAKEUP: u64 = 1;
/// Wakes the reader at once.
const FORCE_WAKEUP: u64 = 2;

/// An exec's record: a [`Process`] and room for its command line.
#[repr(C)]
pub struct Exec {
    head: Process,
    args: [u8; ARGS_MAX],
}

#[inline(always)]
fn header(target: Target, kind: u16) -> Header {
    Header {
        version: LAYOUT_VERSION,
        kind,
        slot: target.slot,
        boot_ns: task::now_ns(),
    }
}

#[inline(always)]
fn written(target: Target, ok: bool) {
    if !ok {
        count!(target, lost).count();
    }
}

/// Whether the target may write one more process record in this second.
///
/// Approximate on purpose: two CPUs that turn the second over together may both reset it.
#[inline(always)]
fn admitted(target: Target) -> bool {
    let second = task::now_ns() / 1_000_000_000;
    if gate_word!(target, detail_second).load() != second {
        gate_word!(target, detail_second).store(second);
        gate_word!(target, details).store(0);
    }
    if gate_word!(target, details).fetch_add(1) < DETAIL_PER_SECOND {
        return true;
    }
    count!(target, sampled).count();
    false
}

/// What a process record says beside its entry.
pub struct Event {
    /// One of [`what`].
    pub what: u32,
    /// Thread-group id.
    pub pid: u32,
    /// Wait status of an exit.
    pub status: u32,
}

#[inline(always)]
fn head(target: Target, event: &Event, entry: &ProcessEntry) -> Process {
    // A move or an adoption is somebody else's doing, whose name is not the process's: empty. A
    // spawn is its parent's, whose name it has.
    let own = event.what == what::SPAWN || event.pid == task::tgid();
    Process {
        header: header(target, kind::PROCESS),
        start_ns: entry.start_ns,
        place: entry.place,
        what: event.what,
        pid: event.pid,
        parent: entry.parent,
        flags: entry.flags as u32,
        status: event.status,
        args_len: 0,
        comm: if own { task::comm() } else { [0; 16] },
    }
}

/// Whether a process's records are never sampled away, since roles, families and excess come from
/// them: of the spine, of roots, and of what entered. Of their execs the first two: a program that
/// does nothing but execute itself must not fill the ring.
#[inline(always)]
fn matters(entry: &ProcessEntry) -> bool {
    let spine = matches!(Place(entry.place).role(), Role::Wrapper | Role::Gateway);
    spine || entry.flags & (flag::ROOT | flag::ENTERED) != 0
}

/// A spawn, exit, entry or leaving.
#[inline(always)]
pub fn process(target: Target, event: &Event, entry: &ProcessEntry) {
    if !matters(entry) && !admitted(target) {
        return;
    }
    let record = head(target, event, entry);
    let ok = maps::submit(NO_WAKEUP, |to: &mut MaybeUninit<Process>| {
        to.write(record);
    });
    written(target, ok);
}

/// An exec of the current process, with its command line.
#[inline(always)]
pub fn exec(target: Target, pid: u32, entry: Ref<ProcessEntry>) {
    let flags = entry.flags();
    let before = flags.load();
    let again = before & flag::EXECED_AGAIN != 0;
    if !again {
        let now = if before & flag::EXECED == 0 {
            flag::EXECED
        } else {
            flag::EXECED_AGAIN
        };
        // Lost beside a sentence that is being executed, which ends it anyway.
        let _ = flags.compare_exchange(before, before | now);
    }
    if (again || !matters(entry.get())) && !admitted(target) {
        return;
    }
    let record = head(
        target,
        &Event {
            what: what::EXEC,
            pid,
            status: 0,
        },
        entry.get(),
    );
    // A gateway's first spawn must find it to be one.
    let wakeup = if again || !matters(entry.get()) {
        NO_WAKEUP
    } else {
        FORCE_WAKEUP
    };
    let ok = maps::submit(wakeup, |to: &mut MaybeUninit<Exec>| {
        maps::fill_exec(to, record);
    });
    written(target, ok);
}

impl Exec {
    /// Where the parts of a record lie.
    pub const ARGS: usize = core::mem::offset_of!(Exec, args);
    /// Where the length of the command line lies.
    pub const ARGS_LEN: usize = core::mem::offset_of!(Process, args_len);
}

/// A spawn met a limit; at most one record in [`BREACH_EVERY_NS`].
#[inline(always)]
pub fn breach(target: Target, limit: u32, verdict: u32) {
    let now = task::now_ns();
    let last = gate_word!(target, breach_ns);
    let before = last.load();
    if now.wrapping_sub(before) < BREACH_EVERY_NS && before != 0
        || last.compare_exchange(before, now) != before
    {
        return;
    }
    let record = Breach {
        header: header(target, kind::BREACH),
        limit,
        verdict,
        pid: task::tgid(),
        reserved: 0,
        committed: gate_word!(target, committed).load(),
        max_processes: target.limits.get().max_processes,
        comm: task::comm(),
    };
    let ok = maps::submit(FORCE_WAKEUP, |to: &mut MaybeUninit<Breach>| {
        to.write(record);
    });
    written(target, ok);
}

/// The target is near its limits; at most one record in [`NEAR_EVERY_NS`].
#[inline(always)]
pub fn near(target: Target) {
    if !maps::may_say_near(target.slot, task::now_ns(), NEAR_EVERY_NS) {
        return;
    }
    let record = Near {
        header: header(target, kind::NEAR),
    };
    let ok = maps::submit(FORCE_WAKEUP, |to: &mut MaybeUninit<Near>| {
        to.write(record);
    });
    written(target, ok);
}

/// A cgroup of the target appeared or went.
#[inline(always)]
pub fn cgroup(target: Target, id: u64, what: u32) {
    let record = Cgroup {
        header: header(target, kind::CGROUP),
        id,
        what,
        reserved: 0,
    };
    let ok = maps::submit(FORCE_WAKEUP, |to: &mut MaybeUninit<Cgroup>| {
        to.write(record);
    });
    written(target, ok);
}
