//! What the thread does in each round.

use super::pace::Pace;
use super::post::{Post, PostError};
use super::{Covering, Held, Order, condemned};
use crate::agent::clock;
use crate::evidence::tree;
use crate::kernel::be_fifo;
use crate::kernel::control::Asker;
use crate::kernel::deny::{Covered, DenyError, Wanted};
use crate::policy::near::Nearness;
use guard_common::abi::Control;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two rounds while something is marked or condemned: how soon a condemned process that is
/// overdue is found, or a guardian that has ended.
const ROUND: Duration = Duration::from_millis(100);

/// The same while nothing is: the kernel side wakes this thread when a target comes near its limits or
/// is refused a spawn. What comes near without a spawn (a cap lowered) is found so.
const QUIET: Duration = Duration::from_secs(1);

/// Between two looks for condemned processes in all cgroups of the host: they may have gone there.
const EVERYWHERE: Duration = Duration::from_secs(1);

/// Between two looks at which mounts there are, while some are marked: an exec from a mount made
/// since then can only be killed.
const AGAIN: Duration = Duration::from_millis(250);

/// The same, for a target that spawns near its limits: its mounts may be other ones.
const SPAWNING: Duration = Duration::from_millis(25);

/// Longest that finding mounts may take before it is said.
const SLOW: Duration = Duration::from_secs(2);

/// Between two tries to start what does not start.
const LATER: Duration = Duration::from_secs(1);

/// The thread's state.
pub struct Turns {
    asker: Asker,
    /// Of the guardian.
    cgroup: PathBuf,
    say: watch::Sender<Covering>,
    held: Vec<Held>,
    near: BTreeMap<u32, Nearness>,
    post: Option<Post>,
    /// Who is asked about.
    covered: BTreeSet<u32>,
    /// Looks at their mounts.
    looks: Pace,
    /// Those of them that were taken because somebody spawned. They have a pace of their own: who
    /// comes with mounts of his own just after a look of the other kind is not to wait.
    hurried: Pace,
    /// Looks for condemned processes that are overdue.
    sweeps: Pace,
    /// Those of them that looked everywhere.
    wide: Pace,
    /// There may be some.
    condemned: bool,
    /// Since when the mounts are being looked for.
    late: Option<Instant>,
    /// A target spawns near its limits.
    spawning: bool,
    /// Nothing is tried before.
    later: Option<Instant>,
    now: Covering,
}

impl Turns {
    /// Nothing held.
    pub fn new(asker: Asker, cgroup: PathBuf, say: watch::Sender<Covering>) -> Self {
        Self {
            asker,
            cgroup,
            say,
            held: Vec::new(),
            near: BTreeMap::new(),
            post: None,
            covered: BTreeSet::new(),
            looks: Pace::new(),
            hurried: Pace::new(),
            sweeps: Pace::new(),
            wide: Pace::new(),
            condemned: false,
            late: None,
            spawning: false,
            later: None,
            now: Covering::default(),
        }
    }

    /// Goes on until nobody gives orders any more.
    pub fn run(mut self, orders: &Receiver<Order>) {
        if let Err(error) = be_fifo() {
            tracing::debug!(%error, "the rounds are a normal thread's: not SCHED_FIFO");
        }
        loop {
            let pause = self.next().saturating_duration_since(Instant::now());
            match orders.recv_timeout(pause) {
                Ok(order) => {
                    self.take(order);
                    for order in orders.try_iter() {
                        self.take(order);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.mark();
            self.sweep();
            if let Some(post) = &self.post {
                self.now.unanswered = post.unanswered();
                self.now.answers = post.answers();
            }
            if *self.say.borrow() != self.now {
                self.say.send_replace(self.now.clone());
            }
        }
    }

    /// When to go round again unasked.
    fn next(&self) -> Instant {
        let is_quiet = self.covered.is_empty() && !self.condemned;
        let round = Instant::now() + if is_quiet { QUIET } else { ROUND };
        if self.spawning {
            round.min(self.hurried.due(SPAWNING))
        } else {
            round
        }
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        if now < self.sweeps.due(ROUND) {
            return;
        }
        let everywhere = now >= self.wide.due(EVERYWHERE);
        self.condemned = false;
        for held in &self.held {
            self.condemned |= condemned::sweep(held, everywhere, &self.asker);
        }
        self.sweeps.done(now);
        if everywhere {
            self.wide.done(now);
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Hold(held) => {
                self.near
                    .retain(|slot, _| held.iter().any(|held| held.slot == *slot));
                self.held = held;
            }
            Order::Look => self.condemned = true,
            Order::Near(slot) => {
                self.near
                    .entry(slot)
                    .or_default()
                    .see(true, clock::now().boot_ns);
                self.spawning = true;
            }
            Order::Deny(None, reply) => {
                self.post = None;
                self.uncovered();
                self.now = Covering::default();
                let _ = reply.send(Ok(()));
            }
            Order::Deny(Some(refusal), reply) => {
                let post = Post::start(refusal, &self.asker, &self.cgroup);
                let started = post.map(|post| self.post = Some(post));
                let _ = reply.send(started.map_err(|error| error.to_string()));
            }
            Order::Ask(on, reply) => {
                let asked = match &self.post {
                    Some(post) => post.ask_about_program(on).map_err(|e| e.to_string()),
                    None => Err("nothing can be denied now".to_owned()),
                };
                let _ = reply.send(asked);
            }
        }
    }

    /// Has the execs of those near their limits asked about, and no others'.
    fn mark(&mut self) {
        let Some(post) = &mut self.post else {
            self.spawning = false;
            return;
        };
        let now = Instant::now();
        if self.later.is_some_and(|later| now < later) {
            return;
        }
        self.later = None;
        let spawning = std::mem::take(&mut self.spawning);
        if !post.stands() {
            // Before another guardian is there: nobody is to be told that it watches over marks.
            self.covered = BTreeSet::new();
            self.now = Covering::default();
            self.say.send_replace(self.now.clone());
            if let Err(error) = post.restore(&self.cgroup) {
                return self.fails(&error, now);
            }
        }
        let boot_ns = clock::now().boot_ns;
        let near: BTreeSet<u32> = self
            .held
            .iter()
            .filter(|held| held.denies)
            .filter(|held| {
                let is_near = self.asker.ask(Control::Near, held.slot, 0);
                let known = self.near.entry(held.slot).or_default();
                known.see(is_near, boot_ns)
            })
            .map(|held| held.slot)
            .collect();
        let hurry = spawning && now >= self.hurried.due(SPAWNING);
        let again = hurry || now >= self.looks.due(AGAIN);
        if self.covered == near && (near.is_empty() || !again) {
            // Too early: it is seen at the next turn.
            self.spawning = spawning && !near.is_empty();
            return;
        }
        let wanted = self.wanted(&near);
        let Some(post) = &self.post else { return };
        match post.cover(wanted) {
            Ok(found) => {
                self.found(near, found, now);
                if spawning {
                    self.hurried.done(now);
                }
            }
            // Said again at the next round.
            Err(DenyError::Late) => self.is_late(now),
            Err(error) => self.fails(&error.into(), now),
        }
    }

    fn wanted(&self, near: &BTreeSet<u32>) -> Vec<Wanted> {
        let all = self.held.iter().filter(|held| near.contains(&held.slot));
        all.map(|held| Wanted {
            target: held.slot,
            members: tree::all_pids(&held.dir),
        })
        .collect()
    }

    fn found(&mut self, near: BTreeSet<u32>, found: Covered, now: Instant) {
        tracing::debug!(?near, ?found, took = ?now.elapsed(), "execs that are asked about");
        self.now = Covering {
            mounts: found.mounts,
            near: near.clone(),
            on_host: found.on_host,
            ..Covering::default()
        };
        self.late = None;
        self.covered = near;
        self.looks.done(now);
    }

    /// A filesystem hangs, perhaps: meanwhile what is not marked yet is killed.
    fn is_late(&mut self, now: Instant) {
        let since = *self.late.get_or_insert(now);
        if now.saturating_duration_since(since) > SLOW {
            self.now.problem = Some(DenyError::Late.to_string());
        }
    }

    fn fails(&mut self, error: &PostError, now: Instant) {
        let error = error.to_string();
        if self.now.problem.as_ref() != Some(&error) {
            tracing::error!(error, "execs cannot be denied now, and are killed instead");
        }
        self.uncovered();
        self.now = Covering {
            problem: Some(error),
            ..Covering::default()
        };
        self.later = Some(now + LATER);
    }

    fn uncovered(&mut self) {
        self.covered = BTreeSet::new();
    }
}
