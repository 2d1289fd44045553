//! What stands while execs can be denied: the threads that mark and answer, and the guardian that ends
//! this agent when they hang. Nothing is marked without a guardian.

use crate::guardian::Guardian;
use crate::kernel::be_fifo;
use crate::kernel::control::Asker;
use crate::kernel::deny::{Covered, Deny, DenyError, Judge, Refusal, Verdict, Wanted};
use crate::model::status::AnswersStatus;
use guard_common::abi::Control;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The guardian's cgroup, below the v2 mount: whatever befalls the agent's does not befall it.
pub const CGROUP: &str = "metamcp-guard-guardian";

/// This program, found by the kernel even when its file was replaced by an upgrade.
pub const PROGRAM: &str = "/proc/self/exe";

/// Longest that the kernel may take to bury the guardian.
const BURIAL: Duration = Duration::from_millis(500);

/// Why nothing can be denied.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// No group, no thread.
    #[error(transparent)]
    Deny(#[from] DenyError),
    /// No guardian.
    #[error("nothing is marked, since the guardian does not start: {0}")]
    Guardian(io::Error),
}

/// Both. Dropped, nothing is marked, and then the guardian ends.
#[derive(Debug)]
pub struct Post {
    deny: Deny,
    guardian: Guardian,
    _cgroup: Cgroup,
    refusal: Refusal,
    asker: Asker,
    /// Of threads that ended.
    unanswered: u64,
}

impl Post {
    /// Starts them; nothing is marked yet.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(refusal: Refusal, asker: &Asker, cgroup: &Path) -> Result<Self, PostError> {
        let (deny, guardian) = begin(refusal, asker, cgroup)?;
        Ok(Self {
            deny,
            guardian,
            _cgroup: Cgroup(cgroup.to_owned()),
            refusal,
            asker: asker.clone(),
            unanswered: 0,
        })
    }

    /// Whether both are there.
    pub fn stands(&mut self) -> bool {
        !self.deny.has_let_go() && self.guardian.lives()
    }

    /// Starts again what does not stand any more; nothing is marked then.
    ///
    /// # Errors
    /// The kernel's; nothing is marked then either.
    pub fn restore(&mut self, cgroup: &Path) -> Result<(), PostError> {
        if self.deny.has_let_go() {
            tracing::warn!(
                "execs were let through: the thread that answers could not read who asks; another \
                 one begins"
            );
            self.unanswered = self.unanswered();
            (self.deny, self.guardian) = begin(self.refusal, &self.asker, cgroup)?;
            return Ok(());
        }
        // Until it lives again nobody is to wait for an agent that nobody watches.
        self.deny.cover(Vec::new())?;
        tracing::warn!("the guardian has ended; another one begins");
        self.guardian = watched(&self.deny, cgroup)?;
        Ok(())
    }

    /// Those that were answered, and how soon, by the thread that answers now.
    pub fn answers(&self) -> AnswersStatus {
        let counts = self.deny.counts();
        AnswersStatus {
            asked: counts.asked,
            denied: counts.denied,
            p50_ns: counts.per_mille(500),
            p99_ns: counts.per_mille(990),
            longest_ns: counts.longest_ns,
        }
    }

    /// Execs so far that were not answered as they should have been.
    pub fn unanswered(&self) -> u64 {
        let counts = self.deny.counts();
        self.unanswered + counts.failed + counts.unread + counts.overflows
    }

    /// As [`Deny::cover`].
    ///
    /// # Errors
    /// As [`Deny::cover`].
    pub fn cover(&self, wanted: Vec<Wanted>) -> Result<Covered, DenyError> {
        self.deny.cover(wanted)
    }

    /// Execs of this program are asked about, or no longer.
    ///
    /// # Errors
    /// As [`Deny::watch_file`].
    pub fn ask_about_program(&self, on: bool) -> Result<(), DenyError> {
        let program = Path::new(PROGRAM);
        if on {
            self.deny.watch_file(program)
        } else {
            self.deny.forget_file(program)
        }
    }
}

fn begin(refusal: Refusal, asker: &Asker, cgroup: &Path) -> Result<(Deny, Guardian), PostError> {
    let (deny, started) = Deny::start(refusal, judge(asker))?;
    if let Err(error) = started.own_descriptors {
        tracing::warn!(%error, "the thread that answers execs shares the agent's descriptors");
    }
    if let Err(error) = started.urgent {
        tracing::warn!(
            %error,
            "the thread that answers execs is a normal thread: give the agent CAP_SYS_NICE"
        );
    }
    let guardian = watched(&deny, cgroup)?;
    Ok((deny, guardian))
}

/// All that the threads want to know the kernel side tells them, by one descriptor.
fn judge(asker: &Asker) -> Judge {
    let (looks, belongs) = (asker.clone(), asker.clone());
    Judge {
        look: Box::new(move |pid| match u64::try_from(pid) {
            Ok(pid) if looks.ask(Control::Judge, 0, pid) => Verdict::Deny,
            _ => Verdict::Allow,
        }),
        belongs: Box::new(move |slot, pid| belongs.ask(Control::Belongs, slot, u64::from(pid))),
        descriptors: vec![asker.descriptor()],
        urgent: be_fifo,
    }
}

fn watched(deny: &Deny, cgroup: &Path) -> Result<Guardian, PostError> {
    let guardian =
        Guardian::start(Path::new(PROGRAM), deny.heart()).map_err(PostError::Guardian)?;
    let made = match fs::create_dir(cgroup) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    let pid = guardian.pid().as_raw_pid().to_string();
    if let Err(error) = made.and_then(|()| fs::write(cgroup.join("cgroup.procs"), pid)) {
        tracing::warn!(%error, "the guardian has no cgroup of its own and shares the agent's");
    }
    Ok(guardian)
}

/// The guardian's cgroup, removed after it.
#[derive(Debug)]
struct Cgroup(PathBuf);

impl Drop for Cgroup {
    fn drop(&mut self) {
        let step = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        while let Err(error) = fs::remove_dir(&self.0) {
            if error.kind() == io::ErrorKind::NotFound || waited > BURIAL {
                break;
            }
            thread::sleep(step);
            waited += step;
        }
    }
}
