//! The ladder of modes: `lsm`, then `kill`. The best rung that the canary proves is in force.
//! (`fmod_ret` and `deny` come between them later.)

use super::canary::Seen;
use super::{Kernel, LoadError};
use aya::programs::ProgramError;
use guard_common::GateMode;
use rustix::io::Errno;

/// The rung in force, and why not a better one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    rung: GateMode,
    why_not_lsm: Option<String>,
}

/// What the canary's word means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The rung holds, or (not `proved`) there is none below it.
    Stays {
        /// Whether it was seen to refuse.
        proved: bool,
        /// Why, in words for the operator.
        why: String,
    },
    /// The rung does not hold: the next one is to be tried at once.
    Next,
}

impl Ladder {
    /// Takes the best rung that the kernel takes a program for. `wants_lsm`: some target may use
    /// it; without one no fork on this host need pay for it.
    pub fn begin(kernel: &mut Kernel, wants_lsm: bool) -> Self {
        if !wants_lsm {
            return Self::kill("no target has it in its modes");
        }
        match kernel.attach_lsm() {
            Ok(()) => Self {
                rung: GateMode::Lsm,
                why_not_lsm: None,
            },
            Err(error) => Self::kill(&refusal(&error)),
        }
    }

    /// No rung: nothing is to be refused.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            rung: GateMode::Observe,
            why_not_lsm: None,
        }
    }

    fn kill(why_not_lsm: &str) -> Self {
        Self {
            rung: GateMode::Kill,
            why_not_lsm: Some(why_not_lsm.to_owned()),
        }
    }

    /// The rung.
    #[must_use]
    pub const fn rung(&self) -> GateMode {
        self.rung
    }

    /// Takes the canary's word; goes down a rung where that one does not hold.
    pub fn heard(&mut self, seen: &Seen, kernel: &mut Kernel) -> Proof {
        let proof = self.judge(seen);
        if proof == Proof::Next {
            kernel.detach_lsm();
            *self = Self::kill(&format!(
                "its programs load and attach, but the canary {}: is bpf in the kernel's lsm= list \
                 (/sys/kernel/security/lsm)?",
                in_words(seen)
            ));
        }
        proof
    }

    fn judge(&self, seen: &Seen) -> Proof {
        const EAGAIN: i32 = Errno::AGAIN.raw_os_error();
        let stays = |proved, why| Proof::Stays { proved, why };
        let beside = match &self.why_not_lsm {
            Some(why) => format!(" (not lsm: {why})"),
            None => String::new(),
        };
        match (self.rung, seen) {
            (GateMode::Lsm, Seen::Refused(EAGAIN)) => {
                stays(true, "the canary's fork failed with EAGAIN".to_owned())
            }
            (GateMode::Kill, Seen::Killed) => {
                let words = "the canary's child died by SIGKILL before it could speak";
                stays(true, format!("{words}{beside}"))
            }
            (_, Seen::Untried(why)) => {
                stays(false, format!("it could not be tried: {why}{beside}"))
            }
            (GateMode::Lsm, _) => Proof::Next,
            (_, other) => stays(false, format!("the canary {}{beside}", in_words(other))),
        }
    }
}

/// Why the kernel takes no LSM program, in a few words.
fn refusal(error: &LoadError) -> String {
    match error {
        LoadError::Program {
            source: ProgramError::LoadError { io_error, .. },
            ..
        } => format!("the kernel takes no LSM program: {io_error}"),
        other => other.to_string(),
    }
}

fn in_words(seen: &Seen) -> String {
    match seen {
        Seen::Refused(errno) => format!(
            "could not spawn: {}",
            std::io::Error::from_raw_os_error(*errno)
        ),
        Seen::Killed => "spawned and its child was killed".to_owned(),
        Seen::Ran => "spawned and its child ran".to_owned(),
        Seen::Untried(why) => why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EAGAIN: i32 = 11;

    #[test]
    fn only_a_spawn_that_failed_as_the_rung_says_proves_it() {
        let lsm = Ladder {
            rung: GateMode::Lsm,
            why_not_lsm: None,
        };
        let kill = Ladder::kill("the kernel said no");
        let proved = |ladder: &Ladder, seen| match ladder.judge(&seen) {
            Proof::Stays { proved, .. } => Some(proved),
            Proof::Next => None,
        };
        let untried = || Seen::Untried("no cgroup".to_owned());
        for (ladder, seen, expected) in [
            (&lsm, Seen::Refused(EAGAIN), Some(true)),
            (&lsm, Seen::Refused(1), None),
            (&lsm, Seen::Killed, None),
            (&lsm, Seen::Ran, None),
            (&lsm, untried(), Some(false)),
            (&kill, Seen::Killed, Some(true)),
            (&kill, Seen::Refused(EAGAIN), Some(false)),
            (&kill, Seen::Ran, Some(false)),
            (&kill, untried(), Some(false)),
        ] {
            assert_eq!(
                proved(ladder, seen.clone()),
                expected,
                "{ladder:?} {seen:?}"
            );
        }
    }

    #[test]
    fn it_says_why_there_is_no_better_rung() {
        let kill = Ladder::kill("the kernel said no");
        let Proof::Stays { why, .. } = kill.judge(&Seen::Killed) else {
            panic!("it stays");
        };
        assert!(why.ends_with("(not lsm: the kernel said no)"), "{why}");
    }
}
