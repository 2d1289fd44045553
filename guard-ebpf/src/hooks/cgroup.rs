//! Cgroups that appear and go, and processes that are moved between them.
//!
//! tp_btf here: these events fire under cgroup_mutex, so no second run can meet the per-CPU
//! recursion guard that makes tp_btf lose events elsewhere. Their arguments have types, so all but the
//! path is read directly.

use crate::membership::{Added, Leave};
use crate::task::{self, Fields, Typed};
use crate::{away, count, detail, gate_word, maps, membership};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::{debug, info, warn};
use guard_common::abi::{CONTAINER_ID_LEN, PATH_MAX};
use guard_common::record::cgroup;

#[btf_tracepoint(function = "cgroup_mkdir")]
fn cgroup_mkdir(ctx: BtfTracePointContext) -> i32 {
    let path = ctx.arg::<u64>(1) as *const u8;
    made(&ctx, Typed::argument(&ctx, 0), Some(path));
    0
}

/// The same where the kernel lets no path be read (lockdown=confidentiality): none is expected then,
/// and the agent arms what it finds.
#[btf_tracepoint(function = "cgroup_mkdir")]
fn nameless_mkdir(ctx: BtfTracePointContext) -> i32 {
    made(&ctx, Typed::argument(&ctx, 0), None);
    0
}

/// An expected cgroup is armed before its first process, also where it is inside another target:
/// the inner one gates. Any other inherits its parent's target.
#[inline(always)]
fn made(ctx: &BtfTracePointContext, cgroup: Typed, path: Option<*const u8>) -> Option<()> {
    if !cgroup.cgroup_is_v2() {
        return None;
    }
    let id = cgroup.cgroup_id()?;
    let (slot, what) = match path.and_then(awaited) {
        Some(slot) => (slot, cgroup::ARMED),
        None => {
            let parent = cgroup.cgroup_parent_id()?;
            (maps::cgroup_slot(parent)?, cgroup::NESTED)
        }
    };
    let target = maps::target(slot)?;
    if what == cgroup::ARMED {
        gate_word!(target, started_ns).store(task::now_ns());
    }
    if !maps::tag_cgroup(id, slot) {
        count!(target, table_full).count();
        if maps::may_speak(task::now_ns()) {
            warn!(
                ctx,
                "cgroup {} of target {} cannot be tagged: the table of cgroups is full; what enters it without a fork goes unwatched",
                id,
                slot
            );
        }
        return None;
    }
    detail::cgroup(target, id, what);
    if what == cgroup::ARMED {
        info!(ctx, "cgroup {} armed for target {}", id, slot);
    }
    None
}

/// The slot that waits for this path, or for the container id at its end: bare (cgroupfs driver)
/// or before `.scope` (systemd driver).
#[inline(always)]
fn awaited(path: *const u8) -> Option<u32> {
    const SCOPE: u64 = 6;
    let mut name = [0u8; PATH_MAX];
    let len = task::copy_path(path, &mut name);
    if let Some(slot) = maps::expected(&name) {
        return Some(slot);
    }
    let id = CONTAINER_ID_LEN as u64;
    if len < id + SCOPE + 2 {
        return None;
    }
    name = [0u8; PATH_MAX];
    let end = path.wrapping_add((len - 1) as usize);
    if task::copy_id(end.wrapping_sub(CONTAINER_ID_LEN), &mut name)
        && let Some(slot) = maps::expected(&name)
    {
        return Some(slot);
    }
    let end = end.wrapping_sub(SCOPE as usize);
    if task::copy_id(end.wrapping_sub(CONTAINER_ID_LEN), &mut name) {
        return maps::expected(&name);
    }
    None
}

#[btf_tracepoint(function = "cgroup_rmdir")]
fn cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    removed(&ctx, Typed::argument(&ctx, 0));
    0
}

#[inline(always)]
fn removed(ctx: &BtfTracePointContext, cgroup: Typed) -> Option<()> {
    if !cgroup.cgroup_is_v2() {
        return None;
    }
    let id = cgroup.cgroup_id()?;
    let target = maps::target(maps::cgroup_slot(id)?)?;
    maps::untag_cgroup(id);
    detail::cgroup(target, id, cgroup::REMOVED);
    // Not louder: a target may make and remove cgroups as fast as it likes.
    debug!(ctx, "cgroup {} of target {} removed", id, target.slot);
    None
}

#[btf_tracepoint(function = "cgroup_attach_task")]
fn cgroup_attach_task(ctx: BtfTracePointContext) -> i32 {
    moved(&ctx, Typed::argument(&ctx, 0), Typed::argument(&ctx, 2));
    0
}

/// A task is moved. Membership is by process: a single thread moved (threaded cgroups) changes
/// nothing, unless it is the leader.
#[inline(always)]
fn moved(ctx: &BtfTracePointContext, to: Typed, task: Typed) -> Option<()> {
    if !to.cgroup_is_v2() {
        return None;
    }
    let pid = task.task_pid();
    if pid != task.task_tgid() {
        return None;
    }
    // One that is ending is not moved any more, though the event names it: its end is counted where it was.
    let live = task.task_live();
    if live == 0 {
        return None;
    }
    let slot = maps::cgroup_slot(to.cgroup_id()?);
    if let Some(entry) = maps::process(pid) {
        let away = away::is_away(entry);
        if slot == Some(entry.get().slot) && !away {
            return None;
        }
        if !away {
            membership::leave(entry.get().slot, pid, Leave::Away);
        }
    }
    let target = maps::target(slot?)?;
    let start_ns = task.task_start_ns();
    let added = membership::enter(target.slot, pid, start_ns, live, None);
    if added == Added::Full && maps::may_speak(task::now_ns()) {
        warn!(
            ctx,
            "process {} entered target {} and cannot be watched: the table of processes is full",
            pid,
            target.slot
        );
    }
    // Where it was there already, as a condemned one is, its own exit counts it.
    if added != Added::Yes {
        return None;
    }
    // It may have died between the look and the entry; its exit saw no entry then.
    if task.task_live() == 0 {
        membership::forget(pid, start_ns);
    }
    None
}
