//! What the kernel side costs and what it missed, as the kernel tells.

use super::Kernel;
use super::raw;
use crate::model::status::ProgramStatus;
use aya::sys::{Stats, enable_stats};
use std::os::fd::OwnedFd;

/// Has the kernel time its BPF programs until this is dropped.
///
/// It times all of them on the host, which costs each run two looks at the clock: for a
/// demonstration or a benchmark.
#[derive(Debug)]
pub struct Timed {
    _while_open: OwnedFd,
}

impl Timed {
    /// From now on; `None` where the kernel does not do it.
    #[must_use]
    pub fn start() -> Option<Self> {
        let open = enable_stats(Stats::RunTime);
        open.ok().map(|_while_open| Self { _while_open })
    }
}

impl Kernel {
    /// Every program that is loaded, with its runs.
    #[must_use]
    pub fn program_stats(&self) -> Vec<ProgramStatus> {
        let all = self.programs().filter_map(|(name, program)| {
            let runs = raw::runs(program).ok()?;
            Some(ProgramStatus {
                name: name.to_owned(),
                runs: runs.count,
                run_ns: runs.ns,
                recursion_misses: runs.misses,
            })
        });
        all.collect()
    }
}
