//! What takes long and is about a target as a whole: looking for evidence, reminding parents, Docker.
//! Each runs on a thread of its own, and how it ended comes back as an input like any other.

use super::Guard;
use crate::actions::deed::{self, Scene};
use crate::actions::end::Hurry;
use crate::actions::look::{self, View};
use crate::actions::nudge::nudge;
use crate::agent::clock;
use crate::model::{
    Action, Doing, Evidence, InputKind, Outcome, OutcomeKind, ProcessKey, TargetId,
};
use crate::rails::Permit;
use crate::targets::Endpoint;
use guard_common::tree::Role;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Most threads at once: one deed and one look for each of many targets.
const MOST: usize = 64;

/// What comes back from threads.
#[derive(Debug)]
pub enum News {
    /// What was seen.
    Seen(TargetId, Evidence),
    /// How something ended.
    Ended(TargetId, Outcome),
}

/// Threads that are at work, and what they need.
#[derive(Debug)]
pub struct Hands {
    tell: UnboundedSender<News>,
    threads: Vec<JoinHandle<()>>,
    hurry: Hurry,
    endpoint: Endpoint,
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
        };
        (hands, news)
    }

    /// Docker is there.
    pub fn know(&mut self, endpoint: &Endpoint) {
        self.endpoint = endpoint.clone();
    }

    fn are_full(&mut self) -> bool {
        self.threads.retain(|thread| !thread.is_finished());
        self.threads.len() >= MOST
    }
}

impl Guard {
    /// Begins what is done elsewhere; gives back what is done here.
    pub(super) fn elsewhere(&mut self, target: TargetId, permit: Permit) -> Option<Permit> {
        match permit.action() {
            Action::Look => self.look(target),
            Action::Nudge { parent, .. } => self.nudge(target, *parent),
            Action::Do(doing) => {
                let doing = doing.clone();
                self.begin_deed(target, permit, doing);
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

    fn begin_deed(&mut self, target: TargetId, permit: Permit, doing: Doing) {
        let Some(place) = self.places.get(target) else {
            return self.tell_outcome(
                target,
                deed::failed(doing, "its target is not there any more"),
            );
        };
        let scene = Scene {
            container: place
                .expected
                .clone()
                .filter(|_| place.config.source.is_container()),
            dir: place.up.as_ref().map(|up| up.dir.clone()),
            v2_mount: self.v2_mount.clone(),
            endpoint: self.hands.endpoint.clone(),
            hurry: self.hands.hurry.clone(),
        };
        if self.hands.are_full() {
            return self.tell_outcome(target, deed::failed(doing, "too much is under way"));
        }
        let tell = self.hands.tell.clone();
        let begun = deed::begin(permit, scene, move |outcome| {
            let _ = tell.send(News::Ended(target, outcome));
        });
        match begun {
            Ok(thread) => self.hands.threads.push(thread),
            Err(error) => {
                let why = format!("no thread: {error}");
                self.tell_outcome(target, deed::failed(doing, &why));
            }
        }
    }

    /// Takes what comes back from threads.
    pub fn hear(&mut self, news: News) {
        let now = clock::now();
        match news {
            News::Seen(target, seen) => self.step(now, target, InputKind::Evidence(seen)),
            News::Ended(target, outcome) => self.step(now, target, InputKind::Outcome(outcome)),
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
    }
}
