//! What refuses before the fork: attached, found as an earlier agent left it, taken away.

use super::fmod_ret::COPIES;
use super::hook::Hook;
use super::load::{Kernel, LoadError, hook, with};
use super::pins::Pins;
use aya::programs::{FEntry, Lsm};
use guard_common::GateMode;

/// Programs of LSM. What gives back comes first.
const LSM: [&str; 2] = ["task_free", "task_alloc"];

/// What gives back where the gate is programs that modify a return, and the function it follows.
const AFTER: (&str, &str) = ("after_task_alloc", "security_task_free");

/// The pins of what modifies a return, one for each copy.
const COPY: [&str; COPIES] = [
    "modify_task_alloc_0",
    "modify_task_alloc_1",
    "modify_task_alloc_2",
    "modify_task_alloc_3",
    "modify_task_alloc_4",
    "modify_task_alloc_5",
];

/// The gates that an earlier agent left, by LSM and by what modifies a return. One that is not all there
/// is taken away: it is attached anew.
#[must_use]
pub(super) fn find(pins: &Pins) -> (Vec<Hook>, Vec<Hook>) {
    let whole = |names: &[&str]| -> Vec<Hook> {
        let found = names.iter().filter_map(|name| Hook::found(pins, name));
        let found: Vec<Hook> = found.collect();
        if found.len() == names.len() {
            return found;
        }
        detach(found, Some(pins));
        Vec::new()
    };
    let modifying: Vec<&str> = [AFTER.0].into_iter().chain(COPY).collect();
    (whole(&LSM), whole(&modifying))
}

/// Whether the kernel has BPF's trampolines out of its functions (`kernel.ftrace_enabled` is 0).
///
/// What is detached meanwhile leaves marks on the functions. When the last one of the host's is detached the
/// kernel finds them, takes its tracing for damaged, and takes no trampoline any more until it is
/// booted again: a WARN in ftrace_shutdown() (kernel/trace/ftrace.c), then ENODEV (seen on 6.1 and 6.12). So
/// nothing is to be detached then that can wait.
pub(super) fn trampolines_are_out() -> bool {
    let switch = std::fs::read_to_string("/proc/sys/kernel/ftrace_enabled");
    switch.is_ok_and(|value| value.trim() == "0")
}

/// The other way round than attached: what takes goes first.
fn detach(hooks: Vec<Hook>, pins: Option<&Pins>) {
    for hook in hooks.into_iter().rev() {
        hook.detach(pins);
    }
}

impl Kernel {
    /// How it refuses a fork, where something is attached that does.
    #[must_use]
    pub const fn refuses_by(&self) -> Option<GateMode> {
        if !self.lsm.is_empty() {
            Some(GateMode::Lsm)
        } else if !self.modifying.is_empty() {
            Some(GateMode::FmodRet)
        } else {
            None
        }
    }

    /// Puts the gate before the fork in place, unless it is. That this succeeds proves nothing: without `bpf` in the
    /// kernel's `lsm=` list it is never asked (6.12).
    ///
    /// # Errors
    /// The kernel takes no LSM program; what was attached is detached again.
    pub fn attach_lsm(&mut self) -> Result<(), LoadError> {
        if !self.lsm.is_empty() {
            return Ok(());
        }
        let attached = self.try_lsm();
        if attached.is_err() {
            self.detach_lsm();
        }
        attached
    }

    fn try_lsm(&mut self) -> Result<(), LoadError> {
        let types = Self::types(&mut self.types)?;
        for name in LSM {
            let hook = hook::<Lsm>(&mut self.ebpf, self.pins.as_ref(), name, |program| {
                program.load(name, types)?;
                let link = program.attach()?;
                Ok(program.take_link(link)?.into())
            })?;
            self.lsm.push(hook);
        }
        Ok(())
    }

    /// Takes it away.
    pub fn detach_lsm(&mut self) {
        detach(std::mem::take(&mut self.lsm), self.pins.as_ref());
        for name in LSM {
            // One that never loaded is no news.
            if let Err(error) = with::<Lsm, _>(&mut self.ebpf, name, Lsm::unload) {
                tracing::debug!(%error, "unloading");
            }
        }
    }

    /// Puts it in place, unless it is, by programs that modify the return of what makes a task.
    ///
    /// # Errors
    /// The kernel does not let it be modified; nothing is attached then.
    pub fn attach_fmod_ret(&mut self) -> Result<(), LoadError> {
        if !self.modifying.is_empty() {
            return Ok(());
        }
        let attached = self.try_fmod_ret();
        if attached.is_err() {
            self.detach_fmod_ret();
        }
        attached
    }

    fn try_fmod_ret(&mut self) -> Result<(), LoadError> {
        let types = Self::types(&mut self.types)?;
        let (name, function) = AFTER;
        // Where this is refused the other would be too, and takes longer to say so.
        let after = hook::<FEntry>(&mut self.ebpf, self.pins.as_ref(), name, |program| {
            program.load(function, types)?;
            let link = program.attach()?;
            Ok(program.take_link(link)?.into())
        })?;
        self.modifying.push(after);
        for ((program, link), name) in self.parts.attach(types)?.into_iter().zip(COPY) {
            let hook = Hook::of_raw(self.pins.as_ref(), name, program, link)?;
            self.modifying.push(hook);
        }
        Ok(())
    }

    /// Takes them away.
    pub fn detach_fmod_ret(&mut self) {
        detach(std::mem::take(&mut self.modifying), self.pins.as_ref());
        if let Err(error) = with::<FEntry, _>(&mut self.ebpf, AFTER.0, FEntry::unload) {
            tracing::debug!(%error, "unloading");
        }
    }
}
