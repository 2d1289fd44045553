//! What takes long and is about a target as a whole: looking for evidence, reminding parents, Docker.
//! Each runs on a thread of its own, and how it ended comes back as an input like any other.

use super::Guard;
use crate::actions::deed::{self, Begun, Frozen, Memo, Scene, Tie};
use crate::actions::end::Hurry;
use crate::actions::look::{self, View};
use crate::actions::nudge::nudge;
use crate::agent::clock;
use crate::guardian::thawer::{self, Thawer};
use crate::journal::Written;
use crate::model::{
    Action, Deed, Doing, Evidence, Health, InputKind, Outcome, OutcomeKind, ProcessKey, TargetId,
};
use crate::rails::Permit;
use crate::targets::Endpoint;
use guard_common::tree::Role;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Most threads at once: one deed and one look for each of many targets.
const MOST: usize = 64;

/// What a container was taken from, as the journal calls it.
const TIES: &str = "ties";

/// What was begun of a container and is not brought to an end.
pub(super) const BEGUN: &str = "begun";

/// What is frozen.
pub(super) const FROZEN: &str = "frozen";

/// What comes back from threads.
#[derive(Debug)]
pub enum News {
    /// What was seen.
    Seen(TargetId, Evidence),
    /// How something ended.
    Ended(TargetId, Outcome),
    /// What a container is taken from, or that it has all of it again.
    Tied(TargetId, Vec<Tie>),
    /// What is begun of a container, or that it is brought to an end.
    Begun(TargetId, Option<Begun>),
    /// What this container's own health check says.
    Health(TargetId, String, Health),
}

/// Threads that are at work, and what they need.
#[derive(Debug)]
pub struct Hands {
    tell: UnboundedSender<News>,
    threads: Vec<JoinHandle<()>>,
    hurry: Hurry,
    endpoint: Endpoint,
    ties: BTreeMap<TargetId, Vec<Tie>>,
    begun: BTreeMap<TargetId, Option<Begun>>,
    /// Cgroups that are frozen, or may be.
    frozen: BTreeMap<TargetId, PathBuf>,
    thawer: Option<Thawer>,
}

impl Hands {
    /// None at work, and where news come in.
    pub fn open() -> (Self, UnboundedReceiver<News>) {
        // As many messages as threads: it is bounded by that.
        let (tell, news) = mpsc::unbounded_channel();
        let hands = Self {
            tell,
            threads: Vec::new(),
            hurry: Hurry::default(),
            endpoint: Endpoint::default(),
            ties: BTreeMap::new(),
            begun: BTreeMap::new(),
            frozen: BTreeMap::new(),
            thawer: None,
        };
        (hands, news)
    }

    /// Where Docker is, and where what it says goes.
    pub fn docker(&self) -> (Endpoint, UnboundedSender<News>) {
        (self.endpoint.clone(), self.tell.clone())
    }

    /// Docker is there.
    pub fn know(&mut self, endpoint: &Endpoint) {
        self.endpoint = endpoint.clone();
    }

    /// Who thaws what is frozen when the agent is gone: one that lives, told of all that is frozen.
    fn thawer(&mut self) -> Option<Arc<File>> {
        let lives = self.thawer.as_mut().is_some_and(Thawer::lives);
        if !lives {
            self.thawer = match Thawer::start(Path::new("/proc/self/exe")) {
                Ok(thawer) => Some(thawer),
                Err(error) => {
                    tracing::error!(%error, "nothing can be frozen: nobody would thaw it");
                    None
                }
            };
            let pipe = self.thawer.as_ref()?.pipe()?;
            for dir in self.frozen.values() {
                let _ = thawer::tell(&pipe, true, dir);
            }
        }
        self.thawer.as_ref()?.pipe()
    }

    /// What is frozen now.
    fn heard(&mut self, target: TargetId, outcome: &Outcome) {
        let deed = outcome.did.as_ref().map(|did| &did.doing.deed);
        let done = outcome.kind == OutcomeKind::Done;
        let runs = match deed {
            Some(Deed::Freeze) => !done,
            Some(deed) => done && (*deed == Deed::Thaw || deed.restarts()),
            None => false,
        };
        if runs {
            self.frozen.remove(&target);
        }
    }

    /// Once a second: while something is frozen, somebody who thaws it must live.
    pub fn look(&mut self) {
        self.frozen.retain(|_, dir| dir.exists());
        if !self.frozen.is_empty() {
            drop(self.thawer());
        }
    }

    fn are_full(&mut self) -> bool {
        self.threads.retain(|thread| !thread.is_finished());
        self.threads.len() >= MOST
    }
}

impl Guard {
    /// Begins what is done elsewhere; gives back what is done here.
    pub(super) fn elsewhere(
        &mut self,
        target: TargetId,
        permit: Permit,
        written: Written,
    ) -> Option<Permit> {
        match permit.action() {
            Action::Look => self.look(target),
            Action::Nudge { parent, .. } => self.nudge(target, *parent),
            Action::Do(doing) => {
                let doing = doing.clone();
                self.begin_deed(target, permit, doing, written);
            }
            _ => return Some(permit),
        }
        None
    }

    fn look(&mut self, target: TargetId) {
        let failed = |why: &str| Outcome::of("look", OutcomeKind::Failed(why.to_owned()));
        let place = self.places.get(target);
        let up = place.and_then(|place| place.up.as_ref());
        let (Some(up), Some(known)) = (up, self.engine.target(target)) else {
            return self.tell_outcome(target, failed("its target is not there any more"));
        };
        let spine = known.state.kin().all();
        let gateways = spine.filter(|one| one.place.role() == Role::Gateway);
        let view = View {
            slot: target.0,
            dir: up.dir.clone(),
            members: self.kernel.tables.members(),
            trees: known.state.trees().all().to_vec(),
            gateways: gateways.map(|one| one.key.pid).collect(),
        };
        if self.hands.are_full() {
            return self.tell_outcome(target, failed("too much is under way"));
        }
        let tell = self.hands.tell.clone();
        // An agent that ends hears no more.
        let begun = look::begin(view, move |seen| {
            let _ = tell.send(News::Seen(target, seen));
        });
        match begun {
            Ok(thread) => self.hands.threads.push(thread),
            Err(error) => self.tell_outcome(target, failed(&format!("no thread: {error}"))),
        }
    }

    /// At once: it is one signal.
    fn nudge(&mut self, target: TargetId, parent: ProcessKey) {
        let place = self.places.get(target);
        let up = place.and_then(|place| place.up.as_ref());
        let below = up.and_then(|up| up.dir.strip_prefix(&self.v2_mount).ok());
        let nudged = below.map_or_else(
            || Err("its target is not there any more".to_owned()),
            |below| nudge(parent, below),
        );
        let kind = nudged.map_or_else(OutcomeKind::Failed, |()| OutcomeKind::Done);
        self.tell_outcome(target, Outcome::of("nudge", kind));
    }

    fn begin_deed(&mut self, target: TargetId, permit: Permit, doing: Doing, written: Written) {
        let Some(scene) = self.scene(target, &doing) else {
            let why = "its target is not there any more";
            return self.tell_outcome(target, deed::failed(doing, why));
        };
        if self.hands.are_full() {
            return self.tell_outcome(target, deed::failed(doing, "too much is under way"));
        }
        let tell = self.hands.tell.clone();
        let tell = move |outcome| {
            let _ = tell.send(News::Ended(target, outcome));
        };
        let ready = move || {
            let _ = written.wait();
        };
        match deed::begin(permit, scene, ready, tell) {
            Ok(thread) => self.hands.threads.push(thread),
            Err(error) => {
                let why = format!("no thread: {error}");
                self.tell_outcome(target, deed::failed(doing, &why));
            }
        }
    }

    fn scene(&mut self, target: TargetId, doing: &Doing) -> Option<Scene> {
        let place = self.places.get(target)?;
        let is_container = place.config.source.is_container();
        let dir = place.up.as_ref().map(|up| up.dir.clone());
        let was_frozen = self
            .hands
            .frozen
            .get(&target)
            .is_some_and(|was| Some(was) == dir.as_ref());
        let is_about_freezing = was_frozen || matches!(doing.deed, Deed::Freeze | Deed::Thaw);
        if let (Deed::Freeze, Some(dir)) = (&doing.deed, &dir) {
            self.hands.frozen.insert(target, dir.clone());
        }
        Some(Scene {
            container: place.expected.clone().filter(|_| is_container),
            dir,
            v2_mount: self.v2_mount.clone(),
            endpoint: self.hands.endpoint.clone(),
            compose_dir: place.config.restart.compose_dir.clone(),
            is_frozen: was_frozen,
            ties: self.memo(target, TIES, &self.hands.ties, News::Tied),
            begun: self.memo(target, BEGUN, &self.hands.begun, News::Begun),
            frozen: self.noted(&place.config.name),
            thawer: is_about_freezing.then(|| self.hands.thawer()).flatten(),
            hurry: self.hands.hurry.clone(),
        })
    }

    /// What is to be known again of a target: kept by the loop, and in the journal for a later agent.
    fn memo<T>(
        &self,
        target: TargetId,
        what: &'static str,
        known: &BTreeMap<TargetId, T>,
        news: fn(TargetId, T) -> News,
    ) -> Memo<T>
    where
        T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let known = known.get(&target).cloned();
        let name = super::named(self.places.get(target)).to_owned();
        let (journal, tell) = (self.diary.journal(), self.hands.tell.clone());
        let (reader, keeper) = (journal.clone(), name.clone());
        Memo::by(
            move |now: &T| {
                let _ = tell.send(news(target, now.clone()));
                let value = serde_json::to_value(now).unwrap_or_default();
                if let Some(journal) = &journal {
                    journal.note(what, clock::now(), &keeper, value).wait();
                }
            },
            move || {
                let noted = || {
                    let noted = reader.as_ref()?.last_note(what, &name)?;
                    serde_json::from_value(noted).ok()
                };
                known.clone().or_else(noted)
            },
        )
    }

    /// What is frozen, for a later agent: this one knows.
    fn noted(&self, name: &str) -> Memo<Option<Frozen>> {
        let (journal, name) = (self.diary.journal(), name.to_owned());
        let keep = move |now: &Option<Frozen>| {
            let value = serde_json::to_value(now).unwrap_or_default();
            if let Some(journal) = &journal {
                journal.note(FROZEN, clock::now(), &name, value).wait();
            }
        };
        Memo::by(keep, || None)
    }

    /// Takes what comes back from threads.
    pub fn hear(&mut self, news: News) {
        let now = clock::now();
        match news {
            News::Seen(target, seen) => self.step(now, target, InputKind::Evidence(seen)),
            News::Ended(target, outcome) => {
                self.hands.heard(target, &outcome);
                self.step(now, target, InputKind::Outcome(outcome));
            }
            News::Health(target, container, health) => {
                self.hear_health(now, (target, container, health));
            }
            News::Tied(target, ties) => {
                self.hands.ties.insert(target, ties);
            }
            News::Begun(target, begun) => {
                self.hands.begun.insert(target, begun);
            }
        }
        self.answer_orders();
    }

    /// The agent ends: what was begun is brought to its end.
    pub(super) fn finish_deeds(&mut self) {
        self.hands.hurry.begin();
        for thread in self.hands.threads.drain(..) {
            let _ = thread.join();
        }
        while let Ok(news) = self.news.try_recv() {
            self.hear(news);
        }
        // It thaws what is frozen.
        self.hands.thawer = None;
        for target in std::mem::take(&mut self.hands.frozen).into_keys() {
            self.noted(super::named(self.places.get(target)))
                .keep(&None);
        }
    }
}
