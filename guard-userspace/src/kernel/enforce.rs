//! The ladder of modes: `lsm`, `fmod_ret`, `deny`, `kill`. The best rung that the canary proves is in
//! force. One that held and fell silent (its programs were detached, `kernel.ftrace_enabled` is 0) is
//! tried again in later turns of the canary, beside the one in force, and taken when it holds.

mod fallen;

use super::canary::Seen;
use super::deny::Refusal;
use super::deny::probe::probe;
use super::refuse::trampolines_are_out;
use super::{Kernel, LoadError};
use crate::config::DenyErrno;
use crate::model::input::SpawnErrno;
use aya::programs::ProgramError;
use fallen::Fallen;
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
    /// The canary has proved the rung once.
    held: bool,
    /// Of each rung above: why not.
    why_not: Vec<(GateMode, String)>,
    /// Those of them that held before.
    fallen: Fallen,
    /// A rung above that is tried now.
    trying: Option<GateMode>,
    /// One was, just now, and did not hold.
    has_tried: bool,
    /// The rung that was in force until now.
    left: Option<GateMode>,
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
    /// A better rung that fell before was tried, and does not hold yet: the one in force has its turn.
    NotYet,
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
                ladder.why_not.push((GateMode::Lsm, why));
                ladder.rung = GateMode::FmodRet;
                return ladder;
            }
            Some(_) => {
                kernel.detach_lsm();
                kernel.detach_fmod_ret();
            }
            None => {}
        }
        if let Err(why) = ladder.take(GateMode::Lsm, Some(kernel)) {
            ladder.down(&why, Some(kernel));
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
            held: false,
            why_not: Vec::new(),
            fallen: Fallen::none(),
            trying: None,
            has_tried: false,
            left: None,
        }
    }

    /// The rung.
    #[must_use]
    pub const fn rung(&self) -> GateMode {
        self.rung
    }

    /// The rung that the canary is to try.
    #[must_use]
    pub fn tried(&self) -> GateMode {
        self.trying.unwrap_or(self.rung)
    }

    /// What a denied exec says, where the rung is `deny`, or that is tried.
    #[must_use]
    pub fn denies_with(&self) -> Option<Refusal> {
        let denies = self.rung == GateMode::Deny || self.trying == Some(GateMode::Deny);
        self.refusal.filter(|_| denies)
    }

    /// What a refused spawn says; `None`: its process dies.
    #[must_use]
    pub fn errno(&self) -> Option<SpawnErrno> {
        match self.tried() {
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
        if std::mem::take(&mut self.held) {
            self.fallen.add(self.rung);
        }
        loop {
            self.why_not.push((self.rung, why));
            self.rung = match self.rung {
                GateMode::Lsm => GateMode::FmodRet,
                GateMode::FmodRet => GateMode::Deny,
                GateMode::Deny | GateMode::Kill | GateMode::Observe => GateMode::Kill,
            };
            match self.take(self.rung, kernel.as_deref_mut()) {
                Ok(()) => return,
                Err(lack) => why = lack,
            }
        }
    }

    /// Takes what a rung needs.
    fn take(&mut self, rung: GateMode, kernel: Option<&mut Kernel>) -> Result<(), String> {
        let attach = match rung {
            GateMode::Lsm if self.wanted.lsm => Kernel::attach_lsm,
            GateMode::FmodRet if self.wanted.fmod_ret => Kernel::attach_fmod_ret,
            GateMode::Lsm | GateMode::FmodRet => return Err(UNWANTED.to_owned()),
            GateMode::Deny => {
                self.refusal = Some(can_deny(self.wanted.deny)?);
                return Ok(());
            }
            GateMode::Kill | GateMode::Observe => return Ok(()),
        };
        let kernel = kernel.ok_or("there is no kernel side")?;
        attach(kernel).map_err(|error| refusal(&error))
    }

    /// A turn of the canary: has it try a better rung that fell before, where it is time for that and the
    /// kernel takes it; else the one in force. `stand` is what `deny` needs beside.
    pub fn turn(
        &mut self,
        kernel: &mut Kernel,
        stand: impl FnOnce(Option<Refusal>) -> Result<(), String>,
    ) -> GateMode {
        // After a try the rung in force has a turn of its own, or two of them would never let it.
        if std::mem::take(&mut self.has_tried) {
            return self.rung;
        }
        let Some(rung) = self.fallen.due() else {
            return self.rung;
        };
        let mut taken = self.take(rung, Some(kernel));
        if taken.is_ok() && rung == GateMode::Deny {
            taken = stand(self.refusal);
        }
        match taken {
            Ok(()) => self.trying = Some(rung),
            Err(why) => {
                tracing::debug!(why, "{} cannot be tried again yet", rung.name());
                self.fallen.fell_again(rung);
            }
        }
        self.tried()
    }

    /// The canary could not begin: what was to be tried is left again.
    pub fn give_up_trying(&mut self, kernel: &mut Kernel) {
        if let Some(rung) = self.trying.take() {
            leave(rung, kernel);
            self.fallen.fell_again(rung);
        }
    }

    /// Takes the canary's word. Goes down a rung where that one does not hold, and up where a better one
    /// holds again.
    pub fn heard(&mut self, seen: &Seen, kernel: &mut Kernel) -> Proof {
        if let Some(rung) = self.trying {
            let Proof::Stays { proved: true, .. } = self.judge(seen) else {
                self.give_up_trying(kernel);
                self.has_tried = true;
                return Proof::NotYet;
            };
            self.up(rung);
        }
        let proof = self.weigh(seen);
        if proof == Proof::Next {
            leave(self.rung, kernel);
            self.down(&self.silence(seen), Some(kernel));
        }
        proof
    }

    /// A better rung holds again.
    fn up(&mut self, rung: GateMode) {
        let at = self
            .why_not
            .iter()
            .position(|(why_not, _)| *why_not == rung);
        self.why_not.truncate(at.unwrap_or(0));
        self.fallen.rose(rung);
        self.trying = None;
        self.left = Some(std::mem::replace(&mut self.rung, rung));
    }

    /// All targets are held by the rung: takes away what the others needed, also those that could not be
    /// left before. Gives the one that was in force until now, where that is another one.
    pub fn settle(&mut self, kernel: &mut Kernel) -> Option<GateMode> {
        let attached = [GateMode::Lsm, GateMode::FmodRet];
        for other in attached.into_iter().filter(|other| *other != self.rung) {
            leave(other, kernel);
        }
        self.left.take()
    }

    /// Why the rung does not hold, in words.
    fn silence(&self, seen: &Seen) -> String {
        let seen = format!("the canary {}", in_words(seen));
        match self.rung {
            GateMode::Lsm | GateMode::FmodRet if self.held => format!(
                "it held until now, but {seen}: were its programs detached, or is kernel.ftrace_enabled \
                 0? It is tried again"
            ),
            GateMode::Lsm => format!(
                "its programs load and attach, but {seen}: is bpf in the kernel's lsm= list \
                 (/sys/kernel/security/lsm)?"
            ),
            _ => seen,
        }
    }

    /// What held before has a second chance: in `deny` a canary that spawns while another guardian is
    /// started is not denied.
    fn weigh(&mut self, seen: &Seen) -> Proof {
        let proof = self.judge(seen);
        match proof {
            Proof::Stays { proved, .. } => {
                self.proved = proved;
                self.held |= proved;
            }
            Proof::Next if std::mem::take(&mut self.proved) => return Proof::Again,
            Proof::Again | Proof::Next | Proof::NotYet => {}
        }
        proof
    }

    fn judge(&self, seen: &Seen) -> Proof {
        const EAGAIN: i32 = Errno::AGAIN.raw_os_error();
        const EPERM: i32 = Errno::PERM.raw_os_error();
        let beside = if self.why_not.is_empty() {
            String::new()
        } else {
            let all = self.why_not.iter();
            let all = all.map(|(rung, why)| format!("not {}: {why}", rung.name()));
            format!(" ({})", all.collect::<Vec<_>>().join("; "))
        };
        let stays = |proved, why: &str| Proof::Stays {
            proved,
            why: format!("{why}{beside}"),
        };
        match (self.tried(), self.errno(), seen) {
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

/// Takes away what a rung needs, or leaves it attached for as long as it must not be detached: it does
/// nothing beside another rung. What `deny` needs is not the kernel side's.
fn leave(rung: GateMode, kernel: &mut Kernel) {
    if trampolines_are_out() {
        return;
    }
    match rung {
        GateMode::Lsm => kernel.detach_lsm(),
        GateMode::FmodRet => kernel.detach_fmod_ret(),
        GateMode::Deny | GateMode::Kill | GateMode::Observe => {}
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
mod tests;
