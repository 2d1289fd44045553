//! Asks the kernel side's program `control` to change the kernel's words: one writer for each.

use super::Kernel;
use aya::programs::{ProgramError, RawTracePointRunOptions, TestRun};
use guard_common::abi::Control;

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
