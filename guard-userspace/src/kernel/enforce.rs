//! The ladder of modes: `lsm`, `fmod_ret`, `deny`, `kill`. The best rung that the canary proves is in
//! force.

use super::canary::Seen;
use super::deny::Refusal;
use super::deny::probe::probe;
use super::{Kernel, LoadError};
use crate::config::DenyErrno;
use crate::model::input::SpawnErrno;
use aya::programs::ProgramError;
use guard_common::GateMode;
use rustix::io::Errno;

/// Why a rung is not for this configuration.
const UNWANTED: &str = "no target has it in its modes";

/// What the targets may use. `kill` stands behind every mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Some may be held by `lsm`; without one no fork on this host need pay for it.
    pub lsm: bool,
    /// Some may be held by `fmod_ret`.
    pub fmod_ret: bool,
    /// Some may be held by `deny`, and the most that a denied exec may say to any of them.
    pub deny: Option<DenyErrno>,
}

/// The rung in force, and why not a better one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    rung: GateMode,
    wanted: Wanted,
    /// What a denied exec says on this kernel, once it was asked.
    refusal: Option<Refusal>,
    /// The canary's last word proved the rung.
    proved: bool,
    /// Of each rung above: why not.
    why_not: Vec<String>,
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
    /// The rung held before and did not now: it is to be tried once more, at once.
    Again,
    /// The rung does not hold: the next one is to be tried at once.
    Next,
}

impl Ladder {
    /// Takes the best rung that the kernel has the means for.
    pub fn begin(kernel: &mut Kernel, wanted: Wanted) -> Self {
        let mut ladder = Self::at(GateMode::Lsm, wanted);
        // An earlier agent's gate is at work: it is not to be open for a moment.
        match kernel.refuses_by() {
            Some(GateMode::Lsm) if wanted.lsm => return ladder,
            Some(GateMode::FmodRet) if wanted.fmod_ret => {
                let why = "an earlier agent found so".to_owned();
                ladder
                    .why_not
                    .push(format!("not {}: {why}", GateMode::Lsm.name()));
                ladder.rung = GateMode::FmodRet;
                return ladder;
            }
            Some(_) => {
                kernel.detach_lsm();
                kernel.detach_fmod_ret();
            }
            None => {}
        }
        if !wanted.lsm {
            ladder.down(UNWANTED, Some(kernel));
        } else if let Err(error) = kernel.attach_lsm() {
            ladder.down(&refusal(&error), Some(kernel));
        }
        ladder
    }

    /// No rung: nothing is to be refused.
    #[must_use]
    pub const fn none() -> Self {
        let wanted = Wanted {
            lsm: false,
            fmod_ret: false,
            deny: None,
        };
        Self::at(GateMode::Observe, wanted)
    }

    const fn at(rung: GateMode, wanted: Wanted) -> Self {
        Self {
            rung,
            wanted,
            refusal: None,
            proved: false,
            why_not: Vec::new(),
        }
    }

    /// The rung.
    #[must_use]
    pub const fn rung(&self) -> GateMode {
        self.rung
    }

    /// What a denied exec says, where the rung is `deny`.
    #[must_use]
    pub fn denies_with(&self) -> Option<Refusal> {
        self.refusal.filter(|_| self.rung == GateMode::Deny)
    }

    /// What a refused spawn says; `None`: its process dies.
    #[must_use]
    pub fn errno(&self) -> Option<SpawnErrno> {
        match self.rung {
            GateMode::Lsm | GateMode::FmodRet => Some(SpawnErrno::Eagain),
            GateMode::Deny => self.denies_with().map(|refusal| match refusal {
                Refusal::Eagain => SpawnErrno::Eagain,
                Refusal::Eperm => SpawnErrno::Eperm,
            }),
            GateMode::Kill | GateMode::Observe => None,
        }
    }

    /// Leaves the rung for the next one that this kernel has the means for. Without a `kernel` nothing
    /// can be attached to it.
    pub fn down(&mut self, why: &str, mut kernel: Option<&mut Kernel>) {
        let mut why = why.to_owned();
        loop {
            self.why_not
                .push(format!("not {}: {why}", self.rung.name()));
            self.rung = match self.rung {
                GateMode::Lsm => GateMode::FmodRet,
                GateMode::FmodRet => GateMode::Deny,
                GateMode::Deny | GateMode::Kill | GateMode::Observe => GateMode::Kill,
            };
            match self.take(kernel.as_deref_mut()) {
                Ok(()) => return,
                Err(lack) => why = lack,
            }
        }
    }

    /// Takes what the rung needs.
    fn take(&mut self, kernel: Option<&mut Kernel>) -> Result<(), String> {
        match self.rung {
            GateMode::FmodRet if self.wanted.fmod_ret => {
                match kernel.map(Kernel::attach_fmod_ret) {
                    Some(Err(error)) => Err(refusal(&error)),
                    Some(Ok(())) => Ok(()),
                    None => Err("it is attached at the start alone".to_owned()),
                }
            }
            GateMode::FmodRet => Err(UNWANTED.to_owned()),
            GateMode::Deny => {
                self.refusal = Some(can_deny(self.wanted.deny)?);
                Ok(())
            }
            GateMode::Lsm | GateMode::Kill | GateMode::Observe => Ok(()),
        }
    }

    /// Takes the canary's word; goes down a rung where that one does not hold.
    pub fn heard(&mut self, seen: &Seen, kernel: &mut Kernel) -> Proof {
        let proof = self.weigh(seen);
        if proof == Proof::Next {
            let mut why = format!("the canary {}", in_words(seen));
            match self.rung {
                GateMode::Lsm => {
                    kernel.detach_lsm();
                    why = format!(
                        "its programs load and attach, but {why}: is bpf in the kernel's lsm= list \
                         (/sys/kernel/security/lsm)?"
                    );
                }
                GateMode::FmodRet => kernel.detach_fmod_ret(),
                GateMode::Deny | GateMode::Kill | GateMode::Observe => {}
            }
            self.down(&why, Some(kernel));
        }
        proof
    }

    /// What held before has a second chance: in `deny` a canary that spawns while another guardian is
    /// started is not denied.
    fn weigh(&mut self, seen: &Seen) -> Proof {
        let proof = self.judge(seen);
        match proof {
            Proof::Stays { proved, .. } => self.proved = proved,
            Proof::Next if std::mem::take(&mut self.proved) => return Proof::Again,
            Proof::Again | Proof::Next => {}
        }
        proof
    }

    fn judge(&self, seen: &Seen) -> Proof {
        const EAGAIN: i32 = Errno::AGAIN.raw_os_error();
        const EPERM: i32 = Errno::PERM.raw_os_error();
        let beside = if self.why_not.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.why_not.join("; "))
        };
        let stays = |proved, why: &str| Proof::Stays {
            proved,
            why: format!("{why}{beside}"),
        };
        match (self.rung, self.errno(), seen) {
            (GateMode::Lsm | GateMode::FmodRet, _, Seen::Refused(EAGAIN)) => {
                stays(true, "the canary's fork failed with EAGAIN")
            }
            (GateMode::Deny, Some(SpawnErrno::Eagain), Seen::Refused(EAGAIN)) => {
                stays(true, "the exec of the canary's child failed with EAGAIN")
            }
            (GateMode::Deny, Some(SpawnErrno::Eperm), Seen::Refused(EPERM)) => {
                stays(true, "the exec of the canary's child failed with EPERM")
            }
            (GateMode::Kill, _, Seen::Killed) => stays(
                true,
                "the canary's child died by SIGKILL before it could speak",
            ),
            (_, _, Seen::Untried(why)) => stays(false, &format!("it could not be tried: {why}")),
            (GateMode::Lsm | GateMode::FmodRet | GateMode::Deny, _, _) => Proof::Next,
            (_, _, other) => stays(false, &format!("the canary {}", in_words(other))),
        }
    }
}

/// What a denied exec says on this kernel, where it may say that to anybody.
fn can_deny(wanted: Option<DenyErrno>) -> Result<Refusal, String> {
    let most = wanted.ok_or(UNWANTED)?;
    match probe() {
        Ok(Refusal::Eperm) if most == DenyErrno::Eagain => Err(
            "a denied exec can only say EPERM on this kernel, of which Node dies where nobody \
             catches it (deny_errno = \"any\" takes it)"
                .to_owned(),
        ),
        Ok(refusal) => Ok(refusal),
        Err(lack) => Err(lack.to_string()),
    }
}

/// Why the kernel takes no LSM program, in a few words.
fn refusal(error: &LoadError) -> String {
    match error {
        LoadError::Program {
            source: ProgramError::LoadError { io_error, .. },
            ..
        } => format!("the kernel takes no such program: {io_error}"),
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
    const EPERM: i32 = 1;

    fn ladder(rung: GateMode, refusal: Option<Refusal>) -> Ladder {
        let wanted = Wanted {
            lsm: true,
            fmod_ret: false,
            deny: None,
        };
        Ladder {
            refusal,
            ..Ladder::at(rung, wanted)
        }
    }

    #[test]
    fn only_a_spawn_that_failed_as_the_rung_says_proves_it() {
        let lsm = ladder(GateMode::Lsm, None);
        let again = ladder(GateMode::Deny, Some(Refusal::Eagain));
        let perm = ladder(GateMode::Deny, Some(Refusal::Eperm));
        let modified = ladder(GateMode::FmodRet, None);
        let kill = ladder(GateMode::Kill, Some(Refusal::Eperm));
        let proved = |ladder: &Ladder, seen| match ladder.judge(&seen) {
            Proof::Stays { proved, .. } => Some(proved),
            Proof::Again | Proof::Next => None,
        };
        let untried = || Seen::Untried("no cgroup".to_owned());
        for (ladder, seen, expected) in [
            (&lsm, Seen::Refused(EAGAIN), Some(true)),
            (&lsm, Seen::Refused(EPERM), None),
            (&lsm, Seen::Killed, None),
            (&lsm, Seen::Ran, None),
            (&lsm, untried(), Some(false)),
            (&modified, Seen::Refused(EAGAIN), Some(true)),
            (&modified, Seen::Ran, None),
            (&again, Seen::Refused(EAGAIN), Some(true)),
            (&again, Seen::Refused(EPERM), None),
            (&again, Seen::Killed, None),
            (&again, untried(), Some(false)),
            (&perm, Seen::Refused(EPERM), Some(true)),
            (&perm, Seen::Refused(EAGAIN), None),
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
    fn what_held_before_is_tried_once_more() {
        let mut deny = ladder(GateMode::Deny, Some(Refusal::Eagain));
        for (seen, expected) in [
            (Seen::Killed, Proof::Next),
            (Seen::Refused(EAGAIN), deny.judge(&Seen::Refused(EAGAIN))),
            (Seen::Killed, Proof::Again),
            (Seen::Refused(EAGAIN), deny.judge(&Seen::Refused(EAGAIN))),
            (Seen::Killed, Proof::Again),
            (Seen::Killed, Proof::Next),
        ] {
            assert_eq!(deny.weigh(&seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn it_says_why_there_is_no_better_rung() {
        let mut kill = ladder(GateMode::Lsm, None);
        kill.down("the kernel said no", None);
        assert_eq!((kill.rung(), kill.errno()), (GateMode::Kill, None));
        let Proof::Stays { why, .. } = kill.judge(&Seen::Killed) else {
            panic!("it stays");
        };
        let said = "(not lsm: the kernel said no; not fmod_ret: no target has it in its modes; not \
                    deny: no target has it in its modes)";
        assert!(why.ends_with(said), "{why}");
    }
}
