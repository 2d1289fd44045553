//! What the agent knows and holds: engine, kernel side, places. Everything that happens comes
//! through here, one thing after the other.

mod arrivals;
mod canary;
mod contents;
mod deeds;
mod deny;
mod diary;
mod disarm;
mod farewell;
mod heritage;
mod left;
mod operator;
mod senses;
mod storms;
mod survey;

use super::clock;
use super::contents::Contents;
use super::places::{Place, Places, Up};
use super::rounds::{Mailbox, Rounds};
use crate::actions;
use crate::config::{Config, Mode};
use crate::engine::Engine;
use crate::evidence::memory::Accounts;
use crate::evidence::tree;
use crate::kernel::decode::{CgroupChange, Event, EventKind};
use crate::kernel::{Kernel, Ladder, stats};
use crate::model::input::{Inherited, SpawnErrno};
use crate::model::{Action, CgroupId, Fact, FactKind, Input, InputKind, Stamp, TargetId};
use crate::policy;
use crate::sinks::{log, tiers::TierLogs};
use deeds::{Hands, News};
use diary::Diary;
use guard_common::GateMode;
use guard_common::abi::Control;
use left::Left;
use operator::{Desk, Ended};
use senses::Senses;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use storms::Storms;
use tokio::sync::mpsc::UnboundedReceiver;

/// The agent's state.
pub struct Guard {
    /// What the operator wants.
    pub config: Config,
    /// What is known of the targets, and what to make of it.
    pub engine: Engine,
    /// The kernel side.
    pub kernel: Kernel,
    /// Where the targets are.
    pub places: Places,
    /// Where the v2 hierarchy is mounted.
    pub v2_mount: PathBuf,
    /// How the gate refuses.
    pub gate: Gate,
    /// What could not be observed, by place, beside the targets' own.
    pub lost: BTreeMap<&'static str, u64>,
    /// The first refusal of each target's storms.
    pub storms: Storms,
    contents: Contents,
    tier_logs: TierLogs,
    /// Targets to be surveyed: not all that happened to them was seen.
    unseen: BTreeSet<TargetId>,
    /// How trees that operators wanted ended have ended; to be given to [`Self::ended`].
    pub ends: UnboundedReceiver<Ended>,
    /// What comes back from threads that look and act; to be given to [`Self::hear`].
    pub news: UnboundedReceiver<News>,
    /// Who looks and acts.
    pub hands: Hands,
    /// What is done, and why.
    pub diary: Diary,
    left: Left,
    senses: Senses,
    desk: Desk,
    ladder: Ladder,
    rounds: Rounds,
    accounts: Accounts,
    /// Seconds until targets of an earlier agent that nobody has asked for are let go.
    patience: u32,
    disarmed: bool,
}

/// How the gate refuses, as last proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The mode in force.
    pub mode: GateMode,
    /// Whether the canary has shown it.
    pub proved: bool,
    /// What a refused spawn says; `None`: its process dies.
    pub errno: Option<SpawnErrno>,
    /// Why this one.
    pub why: String,
    /// Whether the canary has spoken yet.
    pub known: bool,
}

/// How a target's cgroup came to be counted.
struct Came {
    adopted: u64,
    inherited: Option<Box<Inherited>>,
    from_birth: bool,
    /// Start of its container, where that is known; else 0.
    started_ns: u64,
}

impl Guard {
    /// With all targets of the config and nothing known of them.
    ///
    /// # Errors
    /// No thread for the rounds.
    pub fn new(
        config: Config,
        mut kernel: Kernel,
        v2_mount: PathBuf,
        mailbox: Mailbox,
    ) -> io::Result<Self> {
        let places = Places::new(config.targets.clone(), kernel.tables.owners());
        let mut engine = Engine::new(config.mode);
        for (id, place) in places.iter() {
            engine.watch(id, place.config.clone());
        }
        let (ladder, why) = match config.mode {
            Mode::Enforce => {
                let wanted = canary::wanted(&config);
                (Ladder::begin(&mut kernel, wanted), "not tried yet")
            }
            Mode::Observe => (Ladder::none(), "observe: nothing is refused"),
        };
        if ladder.rung() != GateMode::Lsm {
            // Else the canary may still say that another rung is to be attached.
            kernel.forget_types();
        }
        let contents = Contents::of(kernel.tables.inside());
        let rounds = Rounds::start(mailbox, kernel.asker()?, &v2_mount)?;
        let gate = Gate {
            mode: GateMode::Observe,
            proved: false,
            errno: None,
            why: why.to_owned(),
            known: false,
        };
        let accounts = Accounts::find(&v2_mount);
        let (desk, ends) = Desk::open();
        let (hands, news) = Hands::open();
        let diary = Diary::open(&config.state_dir, config.mode);
        let tier_logs = TierLogs::below(&config.state_dir);
        let mut guard = Self {
            left: Left::take_up(&config, diary.journal().as_ref()),
            config,
            tier_logs,
            engine,
            kernel,
            places,
            v2_mount,
            gate,
            lost: BTreeMap::new(),
            storms: Storms::default(),
            contents,
            unseen: BTreeSet::new(),
            ends,
            news,
            hands,
            diary,
            senses: Senses::default(),
            desk,
            ladder,
            rounds,
            accounts,
            patience: heritage::PATIENCE,
            disarmed: false,
        };
        guard.beat();
        let all: Vec<_> = guard.places.iter().map(|(id, _)| id).collect();
        for id in all {
            guard.begin(id);
        }
        guard.let_go_of_unwanted();
        guard.take_up_deny();
        guard.expect_paths();
        if guard.config.mode == Mode::Observe {
            guard.gate.known = true;
            guard.tell_gate();
        }
        Ok(guard)
    }

    /// An operator wants the gate taken away, and the agent with it.
    #[must_use]
    pub const fn is_disarmed(&self) -> bool {
        self.disarmed
    }

    /// One input, and all that follows from it.
    pub fn step(&mut self, at: Stamp, target: TargetId, kind: InputKind) {
        let mut open = VecDeque::from([Input { at, target, kind }]);
        while let Some(input) = open.pop_front() {
            if let InputKind::Outcome(outcome) = &input.kind {
                self.journal_outcome(input.at, target, outcome);
            }
            let (permits, facts) = self.engine.step(&input);
            self.publish(&facts);
            let (ends, permits): (Vec<_>, Vec<_>) = permits
                .into_iter()
                .partition(|permit| matches!(permit.action(), Action::End(_)));
            if !ends.is_empty() {
                let written = self.journal_intents(target, &ends);
                self.end_trees(target, ends, written);
            }
            for permit in permits {
                // What takes long is done on threads of its own, and says how it ended as trees do.
                let written = self.journal_intents(target, core::slice::from_ref(&permit));
                let Some(permit) = self.elsewhere(target, permit, written) else {
                    continue;
                };
                let target = permit.target();
                let outcome = actions::execute(permit, &mut self.kernel);
                if outcome.action == "protect" {
                    self.unseen.insert(target);
                }
                open.push_back(Input {
                    at: clock::now(),
                    target,
                    kind: InputKind::Outcome(outcome),
                });
            }
        }
    }

    fn publish(&mut self, facts: &[Fact]) {
        for fact in facts {
            self.desk.hear(&fact.kind);
            if let FactKind::LostEvents { source: "ring", .. } = fact.kind {
                self.unseen.insert(fact.target);
            }
            if let Some(place) = self.places.get(fact.target) {
                log::publish(fact, &place.config.name);
                self.storms.hear(fact, &place.config.name);
                self.tier_logs.hear(fact, &place.config);
            }
        }
    }

    /// Something the kernel side wrote.
    pub fn kernel_event(&mut self, event: Event, now: Stamp) {
        let (at, target) = (clock::at(event.boot_ns, now), TargetId(event.slot));
        match event.kind {
            EventKind::Input(kind) => self.take(at, target, kind),
            EventKind::Cgroup(id, CgroupChange::Armed) => self.born(at, target, id),
            EventKind::Cgroup(id, CgroupChange::Removed) => self.removed(at, target, id),
            EventKind::Cgroup(_, CgroupChange::Nested) | EventKind::Near => {}
        }
    }

    /// The kernel has armed an expected cgroup before its first process.
    fn born(&mut self, at: Stamp, target: TargetId, id: CgroupId) {
        if self.place_of(target, id) {
            return;
        }
        // One that is gone already is of no use to anybody; its counts come anyway.
        if let Some(dir) = tree::find(&self.v2_mount, id.0) {
            self.go_down(at, target, "its cgroup was made anew");
            let came = Came {
                adopted: 0,
                inherited: None,
                from_birth: true,
                started_ns: at.boot_ns,
            };
            let init = None;
            self.go_up(at, target, Up { id, dir, init }, came);
        }
    }

    fn removed(&mut self, at: Stamp, target: TargetId, id: CgroupId) {
        if self.place_of(target, id) {
            self.go_down(at, target, "its cgroup was removed");
        }
    }

    /// Whether the target is counted in that cgroup.
    fn place_of(&self, target: TargetId, id: CgroupId) -> bool {
        let up = self.places.get(target).and_then(|place| place.up.as_ref());
        up.is_some_and(|up| up.id == id)
    }

    /// A new target is counted by what it is, until the canary has spoken and limits follow.
    fn begin(&mut self, id: TargetId) {
        self.counts_nowhere(id);
        if self.takes_up(id) {
            return;
        }
        let Some(place) = self.places.get(id) else {
            return;
        };
        let limits = policy::gate::counting(&place.config);
        if let Err(error) = self.kernel.tables.set_limits(id.0, &limits) {
            tracing::warn!(%error, target = place.config.name, "no limits to count by");
        }
    }

    fn go_up(&mut self, at: Stamp, target: TargetId, up: Up, came: Came) {
        let below = up.dir.strip_prefix(&self.v2_mount).unwrap_or(&up.dir);
        let kind = InputKind::Up {
            cgroup: up.id,
            path: format!("/{}", below.display()),
            adopted: came.adopted,
            inherited: came.inherited,
            from_birth: came.from_birth,
            started_ns: came.started_ns,
        };
        if let Some(place) = self.places.get_mut(target) {
            place.up = Some(up);
        }
        self.find_contents(target);
        self.step(at, target, kind);
        self.tell_rounds();
    }

    /// The target is no longer counted, if it was.
    fn go_down(&mut self, at: Stamp, target: TargetId, why: &str) {
        let Some(up) = self
            .places
            .get_mut(target)
            .and_then(|place| place.up.take())
        else {
            return;
        };
        let heir = self.release(target, &up.dir, up.id);
        self.lose_contents(target);
        let why = why.to_owned();
        self.step(at, target, InputKind::Down { why });
        self.has_inherited(heir);
        self.tell_rounds();
    }

    /// A second has passed.
    pub fn tick(&mut self, undecoded: u64, log_dropped: u64) {
        let now = clock::now();
        self.beat();
        self.diary.look();
        self.tend();
        if self.patience > 0 {
            self.let_go_of_unwanted();
        }
        let all: Vec<_> = self
            .places
            .iter()
            .map(|(id, place)| (id, place.up.as_ref().map(|up| up.dir.clone())))
            .collect();
        for (id, dir) in all {
            if let Err(error) = self.kernel.control(Control::Flush, id.0, [0; 4]) {
                tracing::debug!(%error, "flush");
            }
            if let Some(memory) = dir.and_then(|dir| self.accounts.read(&dir)) {
                let kind = InputKind::Memory {
                    bytes: memory.bytes,
                    limit: memory.limit,
                    reclaimable: memory.reclaimable,
                };
                self.step(now, id, kind);
            }
            self.step(now, id, InputKind::Tick);
        }
        self.sample_outers(now);
        self.sense(now);
        for id in std::mem::take(&mut self.unseen) {
            self.survey(id);
        }
        self.look_at_trees(now);
        self.answer_orders();
        self.tell_rounds();
        self.lose("recursion", stats::missed(&self.kernel.program_stats()));
        self.lose("decode", undecoded);
        self.lose("log", log_dropped);
        self.lose("deny", self.covering().unanswered);
    }

    /// Says what was lost beside the targets' own, where that is news.
    fn lose(&mut self, source: &'static str, total: u64) {
        let known = self.lost.insert(source, total);
        if total > known.unwrap_or(0) {
            tracing::warn!(
                event = "lost_events",
                source,
                total,
                "{total} lost in all: {source}"
            );
        }
    }
}

/// What a place calls itself in messages about it.
fn named(place: Option<&Place>) -> &str {
    place.map_or("?", |place| place.config.name.as_str())
}
