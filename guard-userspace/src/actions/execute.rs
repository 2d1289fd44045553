//! Carries out one permit.

use crate::evidence::process::{all_pids, ticks};
use crate::kernel::Kernel;
use crate::kernel::control::ControlError;
use crate::model::{Action, Outcome, OutcomeKind, Placed, ProcessKey, TargetId};
use crate::rails::Permit;
use guard_common::ProcessEntry;
use guard_common::abi::Control;
use guard_common::entry::flag;
use guard_common::tree::Place;
use guard_common::tree::force::Post;

/// Passes over a tree that is to lose its slots: a child may be born between a listing and its parent's
/// turn.
const PASSES: usize = 5;

/// Does what is permitted, and says how it ended.
#[must_use]
pub fn execute(permit: Permit, kernel: &mut Kernel) -> Outcome {
    let target = permit.target();
    let mut outcome = Outcome {
        action: permit.action().name(),
        limits: None,
        place: None,
        ended: None,
        did: None,
        kind: OutcomeKind::Done,
    };
    let done = match permit.action() {
        Action::Gate(limits) => {
            outcome.limits = Some(*limits);
            let set = kernel.tables.set_limits(target.0, limits);
            set.map_err(|error| error.to_string())
        }
        Action::Role { process, role, .. } => {
            placed(kernel, target, *process, (Control::Spine, *role as u64))
                .map(|place| outcome.place = Some(place))
        }
        Action::Protect { process, .. } => placed(kernel, target, *process, (Control::Protect, 0))
            .map(|place| outcome.place = Some(place)),
        Action::Move {
            process,
            post: Post::Nobody,
        } => condemned(kernel, target, *process).map(|place| outcome.place = Some(place)),
        Action::Move { process, post } => {
            placed(kernel, target, *process, (Control::Move, post.pack()))
                .map(|place| outcome.place = Some(place))
        }
        Action::Raise { tree, peak, room } => {
            asked(kernel.control(Control::Raise, target.0, [*tree, *peak, *room, 0]))
        }
        Action::Settle { tree, floor } => {
            asked(kernel.control(Control::Settle, target.0, [*tree, *floor, 0, 0]))
        }
        // On threads of their own.
        Action::End(_) | Action::Look | Action::Nudge { .. } | Action::Do(_) => {
            Err("not here".to_owned())
        }
    };
    if let Err(why) = done {
        outcome.kind = OutcomeKind::Failed(why);
    }
    outcome
}

/// Takes the slots of a whole tree: its root's, and those of what that had forked by now. What any of
/// them forks from then on has none either.
fn condemned(kernel: &Kernel, target: TargetId, root: ProcessKey) -> Result<Placed, String> {
    let tree = kernel
        .tables
        .process(root.pid)
        .map(|entry| Place(entry.place).tree());
    let placed = placed(kernel, target, root, (Control::Move, Post::Nobody.pack()))?;
    let Some(tree) = tree.filter(|tree| *tree != 0) else {
        return Ok(placed);
    };
    for _ in 0..PASSES {
        let mut any = false;
        for pid in all_pids() {
            let entry = kernel.tables.process(pid);
            let of_tree = |entry: &ProcessEntry| {
                let place = Place(entry.place);
                entry.slot == target.0 && place.tree() == tree && !place.has_left()
            };
            if let Some(entry) = entry.filter(of_tree) {
                let args = [u64::from(pid), entry.start_ns, Post::Nobody.pack(), 0];
                asked(kernel.control(Control::Move, target.0, args))?;
                any = true;
            }
        }
        if !any {
            break;
        }
    }
    Ok(placed)
}

/// Changes a process's place, and reads what it is then.
fn placed(
    kernel: &Kernel,
    target: TargetId,
    process: ProcessKey,
    (op, what): (Control, u64),
) -> Result<Placed, String> {
    let gone = || format!("process {} has ended", process.pid);
    let entry = kernel.tables.process(process.pid);
    let is_it = |start_ns: u64| ticks(start_ns) == process.start_ticks;
    let entry = entry
        .filter(|entry| entry.slot == target.0 && is_it(entry.start_ns))
        .ok_or_else(gone)?;
    let args = [u64::from(process.pid), entry.start_ns, what, 0];
    asked(kernel.control(op, target.0, args))?;
    let now = kernel.tables.process(process.pid).ok_or_else(gone)?;
    Ok(Placed {
        process,
        place: Place(now.place),
        is_root: now.flags & flag::ROOT != 0,
    })
}

/// Nothing to do is as good as done: somebody else was there first, or there was no room, and what
/// is there now is read again.
fn asked(answer: Result<bool, ControlError>) -> Result<(), String> {
    answer.map(drop).map_err(|error| error.to_string())
}
