//! Who is condemned in a test, and a guard that knows it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use guard_tests::{Apart, raw};
use guard_userspace::kernel::deny::probe::probe;
use guard_userspace::kernel::deny::{Covered, Deny, Judge, Refusal, Verdict, Wanted};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Longest that a test may let execs wait, whatever goes wrong with it.
const LONGEST: Duration = Duration::from_secs(4);

/// Whose children are condemned, and whether questions are left lying.
#[derive(Debug, Default)]
pub struct Docket {
    parent: AtomicU32,
    held: AtomicBool,
    strangers: AtomicBool,
}

impl Docket {
    /// From now on children of that process are condemned.
    pub fn condemn_children_of(&self, parent: u32) {
        self.parent.store(parent, SeqCst);
    }

    /// Nobody is condemned.
    pub fn pardon(&self) {
        self.parent.store(0, SeqCst);
    }

    /// Whether whoever asks from now on gets no answer, for a while.
    pub fn hold(&self, held: bool) {
        self.held.store(held, SeqCst);
    }

    /// From now on every pid is a stranger's.
    pub fn all_are_strangers(&self) {
        self.strangers.store(true, SeqCst);
    }

    fn look(&self, pid: i32) -> Verdict {
        let since = Instant::now();
        while self.held.load(SeqCst) && since.elapsed() < LONGEST {
            thread::sleep(Duration::from_millis(1));
        }
        let parent = self.parent.load(SeqCst);
        if parent != 0 && parent_of(pid) == Some(parent) {
            Verdict::Deny
        } else {
            Verdict::Allow
        }
    }

    /// How a thread decides by it.
    pub fn judge(self: &Arc<Self>) -> Judge {
        let (looks, belongs) = (Arc::clone(self), Arc::clone(self));
        Judge {
            look: Box::new(move |pid| looks.look(pid)),
            belongs: Box::new(move |_, _| !belongs.strangers.load(SeqCst)),
            descriptors: Vec::new(),
            urgent: raw::urgent,
        }
    }
}

/// The kernel side knows it from the fork; here /proc does, at the price of a file opened.
fn parent_of(pid: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok()
}

/// A guard that denies by a docket.
pub struct Guard {
    pub deny: Deny,
    pub docket: Arc<Docket>,
}

impl Guard {
    /// One that says what this kernel can.
    pub fn start() -> Result<Self> {
        Self::saying(probe()?)
    }

    pub fn saying(refusal: Refusal) -> Result<Self> {
        let docket = Arc::new(Docket::default());
        let (deny, started) = Deny::start(refusal, docket.judge())?;
        started.own_descriptors.context("descriptors of its own")?;
        started.urgent.context("SCHED_FIFO")?;
        Ok(Self { deny, docket })
    }

    /// Asks about what one process sees, and about nothing else.
    pub fn cover(&self, apart: &Apart) -> Result<Covered> {
        self.cover_all(&[(0, apart.pid())])
    }

    /// Asks about what these see, each of a target.
    pub fn cover_all(&self, targets: &[(u32, u32)]) -> Result<Covered> {
        let wanted = targets.iter().map(|(target, pid)| Wanted {
            target: *target,
            members: vec![*pid],
        });
        Ok(self.deny.cover(wanted.collect())?)
    }

    /// How many questions `does` leads to.
    pub fn asked(&self, does: impl FnOnce() -> Result<()>) -> Result<u64> {
        let before = self.deny.counts().asked;
        does()?;
        Ok(self.deny.counts().asked - before)
    }

    /// Whether an exec there is asked about.
    pub fn asks(&self, apart: &mut Apart) -> Result<bool> {
        Ok(self.asked(|| apart.does("/bin/true"))? > 0)
    }
}

/// All descriptors that this process may still have; not many, so that it takes no time.
pub fn exhaust() -> Result<Vec<OwnedFd>> {
    let few = Rlimit {
        current: Some(256),
        maximum: Some(256),
    };
    setrlimit(Resource::Nofile, few)?;
    let mut all = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        all.push(file.into());
    }
    Ok(all)
}
