//! Bytes of the ring buffer → events. What cannot be read is an error and is counted; nothing of
//! it goes further. Command lines are masked here, before anything else sees them.

use crate::evidence::process::ticks;
use crate::mask;
use crate::model::input::{BreachVerdict, Limit};
use crate::model::kin::Birth;
use crate::model::{CgroupId, InputKind, ProcessKey};
use bytemuck::{Pod, Zeroable, bytes_of_mut};
use bytes::Buf;
use guard_common::abi::{ARGS_MAX, LAYOUT_VERSION};
use guard_common::entry::flag;
use guard_common::record::{
    Breach, Cgroup, Header, Process, RateSample, cgroup, kind, limit, verdict, what,
};
use guard_common::tree::Place;

/// One record, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whose.
    pub slot: u32,
    /// When, in nanoseconds of CLOCK_BOOTTIME.
    pub boot_ns: u64,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// Something for the engine.
    Input(InputKind),
    /// A cgroup of the target's appeared or went.
    Cgroup(CgroupId, CgroupChange),
    /// The target is near its limits: whoever asks about its execs is to be woken.
    Near,
}

/// What became of a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupChange {
    /// Expected, and armed before its first process.
    Armed,
    /// Made inside the target.
    Nested,
    /// Removed.
    Removed,
}

/// A record that this agent cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Cut off.
    #[error("a record of {0} bytes is cut off")]
    Short(usize),
    /// Another layout.
    #[error(
        "a record has layout {0}, this agent reads layout {LAYOUT_VERSION}; build agent and object \
         together: cargo xtask build"
    )]
    Version(u16),
    /// A kind that this version does not know.
    #[error("a record is of the unknown kind {0}")]
    Kind(u16),
    /// A value that this version does not know.
    #[error("{value} is no {of} that this agent knows")]
    Value {
        /// Of what.
        of: &'static str,
        /// Which.
        value: u32,
    },
}

/// Reads one record.
///
/// # Errors
/// It is cut off, of another version, or says something unknown.
pub fn event(record: &[u8]) -> Result<Event, DecodeError> {
    let Header {
        version,
        kind,
        slot,
        boot_ns,
    } = take(&mut &*record)?;
    if version != LAYOUT_VERSION {
        return Err(DecodeError::Version(version));
    }
    let kind = match kind {
        kind::RATE => EventKind::Input(rate(record)?),
        kind::BREACH => EventKind::Input(breach(record)?),
        kind::PROCESS => EventKind::Input(process(record)?),
        kind::CGROUP => change(record)?,
        kind::NEAR => EventKind::Near,
        other => return Err(DecodeError::Kind(other)),
    };
    Ok(Event {
        slot,
        boot_ns,
        kind,
    })
}

/// The next value of plain old data.
fn take<T: Pod + Zeroable>(from: &mut &[u8]) -> Result<T, DecodeError> {
    let mut value = T::zeroed();
    if from.remaining() < size_of::<T>() {
        return Err(DecodeError::Short(from.remaining()));
    }
    from.copy_to_slice(bytes_of_mut(&mut value));
    Ok(value)
}

fn rate(mut record: &[u8]) -> Result<InputKind, DecodeError> {
    let sample: RateSample = take(&mut record)?;
    Ok(InputKind::Rate {
        second: sample.second,
        committed: sample.committed,
        counters: sample.counters,
    })
}

fn breach(mut record: &[u8]) -> Result<InputKind, DecodeError> {
    let breach: Breach = take(&mut record)?;
    let unknown = |of, value| DecodeError::Value { of, value };
    Ok(InputKind::Breach {
        limit: match breach.limit {
            limit::SLOTS => Limit::Processes,
            limit::TOKENS => Limit::Rate,
            limit::TABLE => Limit::Table,
            limit::GUESTS => Limit::Guests,
            other => return Err(unknown("limit", other)),
        },
        verdict: match breach.verdict {
            verdict::DENIED => BreachVerdict::Denied,
            verdict::CONDEMNED => BreachVerdict::Condemned,
            verdict::OBSERVED => BreachVerdict::Observed,
            other => return Err(unknown("verdict", other)),
        },
        pid: breach.pid,
        comm: name(&breach.comm),
        committed: breach.committed,
        max_processes: breach.max_processes,
    })
}

fn process(mut record: &[u8]) -> Result<InputKind, DecodeError> {
    let event: Process = take(&mut record)?;
    let process = ProcessKey {
        pid: event.pid,
        start_ticks: ticks(event.start_ns),
    };
    Ok(match event.what {
        what::SPAWN | what::ENTER => InputKind::Spawned {
            process,
            parent: event.parent,
            comm: name(&event.comm),
            place: Place(event.place),
            birth: birth(event.flags),
        },
        what::EXEC => {
            let len = (event.args_len as usize).min(ARGS_MAX);
            let line = record.get(..len).ok_or(DecodeError::Short(record.len()))?;
            let argv = argv(line);
            InputKind::Execed { process, argv }
        }
        what::EXIT | what::LEAVE => InputKind::Exited {
            process,
            status: event.status,
        },
        value => {
            let of = "event of a process";
            return Err(DecodeError::Value { of, value });
        }
    })
}

fn change(mut record: &[u8]) -> Result<EventKind, DecodeError> {
    let event: Cgroup = take(&mut record)?;
    let change = match event.what {
        cgroup::ARMED => CgroupChange::Armed,
        cgroup::NESTED => CgroupChange::Nested,
        cgroup::REMOVED => CgroupChange::Removed,
        value => {
            let of = "event of a cgroup";
            return Err(DecodeError::Value { of, value });
        }
    };
    Ok(EventKind::Cgroup(CgroupId(event.id), change))
}

/// Text up to the first NUL. A process may call itself anything.
fn name(comm: &[u8; 16]) -> String {
    let text = comm.split(|&byte| byte == 0).next().unwrap_or_default();
    mask::line(&String::from_utf8_lossy(text)).into_owned()
}

fn birth(flags: u32) -> Birth {
    let flags = u64::from(flags);
    if flags & flag::ROOT != 0 {
        Birth::Root
    } else if flags & flag::ENTERED != 0 {
        Birth::Entered
    } else {
        Birth::Forked
    }
}

/// Arguments, each ended by NUL, without secrets.
fn argv(line: &[u8]) -> Vec<String> {
    let line = line.strip_suffix(&[0]).unwrap_or(line);
    let arguments: Vec<_> = line
        .split(|&byte| byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    mask::each(&arguments)
}

#[cfg(test)]
mod tests;
