//! Asks the kernel side's program `control` to change the kernel's words: one writer for each.

use super::{Kernel, raw};
use aya::programs::{ProgramError, RawTracePointRunOptions, TestRun};
use guard_common::abi::Control;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// A way to ask from other threads than the loop's.
///
/// Reading a map instead would hold up the counting where the reader is preempted
/// (guard-ebpf/src/main.rs); a run of a program does not.
#[derive(Clone, Debug)]
pub struct Asker(Arc<OwnedFd>);

impl Asker {
    /// Asks for one operation; its argument is that of [`Control`]. It allocates nothing and waits
    /// for nobody. What cannot be asked is not so: false.
    #[must_use]
    pub fn ask(&self, op: Control, slot: u32, argument: u64) -> bool {
        let mut words = [0; 12];
        for (to, word) in words.iter_mut().zip([op as u64, u64::from(slot), argument]) {
            *to = word;
        }
        raw::test_run(self.0.as_fd(), &words).is_ok_and(|answer| answer == 1)
    }

    /// The descriptor that it asks through.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The kernel side did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The program does not run.
    #[error("cannot run the kernel side's program control: {0}")]
    Run(#[from] ProgramError),
    /// It is not there, or knows neither slot nor operation.
    #[error("the kernel side does not know {op:?} of slot {slot}; build agent and object together")]
    Unknown {
        /// What was asked.
        op: Control,
        /// Of whom.
        slot: u32,
    },
}

impl Kernel {
    /// For other threads.
    ///
    /// # Errors
    /// There is no such program, or no descriptor for it.
    pub fn asker(&self) -> io::Result<Asker> {
        let program = self
            .control_program()
            .ok_or_else(|| io::Error::other("the BPF object has no program control"))?;
        let fd = program.fd().map_err(io::Error::other)?;
        Ok(Asker(Arc::new(fd.as_fd().try_clone_to_owned()?)))
    }

    /// Asks for one operation; its arguments are those of [`Control`]. False: there was nothing
    /// to do.
    ///
    /// # Errors
    /// The program does not run, or does not know the operation.
    pub fn control(&self, op: Control, slot: u32, args: [u64; 4]) -> Result<bool, ControlError> {
        let unknown = || ControlError::Unknown { op, slot };
        let program = self.control_program().ok_or_else(unknown)?;
        let [a, b, c, d] = args;
        let mut options = RawTracePointRunOptions::default();
        // A raw tracepoint has twelve arguments.
        let words = [op as u64, u64::from(slot), a, b, c, d];
        for (to, word) in options.args.iter_mut().zip(words) {
            *to = word;
        }
        match program.test_run(options)?.return_value.cast_signed() {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(unknown()),
        }
    }
}
