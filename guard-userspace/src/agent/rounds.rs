//! A thread that goes round the targets, ten times a second while there is something to do: in `deny`
//! it has the execs of those near their limits asked about, in every mode it ends condemned processes
//! that do nothing.
//!
//! Marking may take long where a filesystem is slow, and the agent's loop waits for nobody: what it
//! wants is sent here, and what is marked is read from here. The kernel's reader wakes the thread
//! when a target comes near its limits (a storm leaves a few milliseconds for that) or is refused a
//! spawn.

mod condemned;
mod pace;
mod post;
mod turn;

use crate::kernel::canary::Ask;
use crate::kernel::control::Asker;
use crate::kernel::deny::Refusal;
use crate::kernel::reader::Wake;
use crate::model::status::AnswersStatus;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;
use std::time::Duration;
use tokio::sync::watch;

/// Orders that may wait. Each round looks at everything, so a wake-up more or less is no loss.
const WAITING: usize = 256;

/// Longest that an answer may take: a guardian is started, or a file marked.
const PATIENCE: Duration = Duration::from_secs(3);

/// A target that is counted and held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its slot.
    pub slot: u32,
    /// Its cgroup's directory.
    pub dir: PathBuf,
    /// Its mode is `deny`.
    pub denies: bool,
}

/// What is wanted of the thread.
enum Order {
    /// From now on these are held, and no others.
    Hold(Vec<Held>),
    /// A target is near its limits.
    Near(u32),
    /// A target was refused a spawn: somebody may be condemned.
    Look,
    /// Execs can be denied from now on, or (`None`) no longer.
    Deny(Option<Refusal>, Reply),
    /// Execs of this program are asked about, or no longer: for the canary.
    Ask(bool, Reply),
}

type Reply = SyncSender<Result<(), String>>;

/// What is asked about now, and what was denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covering {
    /// Mounts that are marked.
    pub mounts: usize,
    /// Targets whose execs are asked about, by slot.
    pub near: BTreeSet<u32>,
    /// Targets for which all execs of the host are asked about, by slot.
    pub on_host: BTreeSet<u32>,
    /// Why nothing can be denied, where something should be.
    pub problem: Option<String>,
    /// Execs so far that were not answered as they should have been: the queue was full, or the kernel
    /// did not take the answer, or could not put the question.
    pub unanswered: u64,
    /// Those that were, by the threads that answer now.
    pub answers: AnswersStatus,
}

/// Where a wake-up goes; made before the thread is there.
#[derive(Debug)]
pub struct Mailbox {
    orders: SyncSender<Order>,
    taken: Receiver<Order>,
}

impl Mailbox {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let (orders, taken) = sync_channel(WAITING);
        Self { orders, taken }
    }

    /// Tells the thread what it is to wake for. It waits for nobody.
    pub fn wakes(&self) -> impl Fn(Wake) + Send + 'static {
        let orders = self.orders.clone();
        move |wake| {
            // Full: it has enough to wake for.
            let _ = orders.try_send(match wake {
                Wake::Near(slot) => Order::Near(slot),
                Wake::Refused => Order::Look,
            });
        }
    }
}

/// The running thread. Dropped, nothing is marked any more.
#[derive(Debug)]
pub struct Rounds {
    orders: SyncSender<Order>,
    covering: watch::Receiver<Covering>,
    /// What the thread was told last.
    held: Vec<Held>,
}

impl Rounds {
    /// Starts it; it holds nothing yet.
    ///
    /// # Errors
    /// No thread for it.
    pub fn start(mailbox: Mailbox, asker: Asker, v2_mount: &Path) -> io::Result<Self> {
        let Mailbox { orders, taken } = mailbox;
        let (say, covering) = watch::channel(Covering::default());
        let cgroup = v2_mount.join(post::CGROUP);
        Builder::new().name("rounds".to_owned()).spawn(move || {
            turn::Turns::new(asker, cgroup, say).run(&taken);
        })?;
        Ok(Self {
            orders,
            covering,
            held: Vec::new(),
        })
    }

    /// From now on these targets are held.
    pub fn hold(&mut self, held: Vec<Held>) {
        if held == self.held {
            return;
        }
        match self.orders.try_send(Order::Hold(held.clone())) {
            Ok(()) => self.held = held,
            // Said again in a second.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Execs can be denied from now on, or (`None`) no longer. May take a moment.
    ///
    /// # Errors
    /// What it lacks, in words.
    pub fn deny(&self, refusal: Option<Refusal>) -> Result<(), String> {
        answer(&self.orders, |reply| Order::Deny(refusal, reply))
    }

    /// For the canary's own thread.
    #[must_use]
    pub fn ask(&self) -> Ask {
        let orders = self.orders.clone();
        Box::new(move |on| answer(&orders, |reply| Order::Ask(on, reply)))
    }

    /// What is asked about now.
    #[must_use]
    pub fn covering(&self) -> Covering {
        self.covering.borrow().clone()
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        // The kernel's reader can wake the thread for as long as it lives: that it ends is said.
        let _ = self.deny(None);
    }
}

fn answer(orders: &SyncSender<Order>, order: impl FnOnce(Reply) -> Order) -> Result<(), String> {
    let (reply, answer) = sync_channel(1);
    if orders.try_send(order(reply)).is_err() {
        return Err("the thread that marks does not take orders".to_owned());
    }
    match answer.recv_timeout(PATIENCE) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => Err(format!(
            "the thread that marks did not answer within {PATIENCE:?}"
        )),
        Err(RecvTimeoutError::Disconnected) => Err("the thread that marks has ended".to_owned()),
    }
}
