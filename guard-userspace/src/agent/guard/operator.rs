//! What operators order: taken in as an input like any other, carried out on threads of their own,
//! answered when it has ended.

mod open;
mod whole;

use super::{Guard, named};
use crate::actions::end::{self, Hurry, Scene};
use crate::agent::clock;
use crate::api::{Asked, Unheard};
use crate::journal::Written;
use crate::model::order::{ActionAnswer, ActionRequest, Answer, Request};
use crate::model::{FactKind, InputKind, Order, Ordered, Outcome, TargetId};
use crate::rails::Permit;
use guard_common::tree::Place;
use open::{Open, SoFar};
use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use whole::Looking;

/// Most orders that are carried out at once.
const MOST: usize = 16;

/// Longest that an order is waited for by who gave it: then it is said that it is under way. Shorter
/// than a connection may last.
const PATIENCE: Duration = Duration::from_secs(240);

/// How trees ended, by target.
pub type Ended = (TargetId, Vec<Outcome>);

/// Where an answer goes.
type Reply = oneshot::Sender<Result<Answer, Unheard>>;

/// Orders that are being carried out.
#[derive(Debug)]
pub struct Desk {
    tell: mpsc::UnboundedSender<Ended>,
    open: BTreeMap<u64, Open>,
    last: u64,
    looking: Vec<Looking>,
    threads: Vec<JoinHandle<()>>,
    hurry: Hurry,
}

impl Desk {
    /// One without orders, and where the ends of trees come in.
    pub fn open() -> (Self, mpsc::UnboundedReceiver<Ended>) {
        // As many messages as orders are under way: it is bounded by that.
        let (tell, ended) = mpsc::unbounded_channel();
        let desk = Self {
            tell,
            open: BTreeMap::new(),
            last: 0,
            looking: Vec::new(),
            threads: Vec::new(),
            hurry: Hurry::default(),
        };
        (desk, ended)
    }

    /// Takes an order, and says its number.
    fn open_one(&mut self, so_far: SoFar, reply: Reply) -> u64 {
        self.last += 1;
        let open = Open {
            so_far,
            reply,
            since: Instant::now(),
        };
        self.open.insert(self.last, open);
        self.last
    }

    /// Takes what is said of what an order is about.
    pub fn hear(&mut self, kind: &FactKind) {
        if let Some(open) = self.open.get_mut(&open::order_of(kind)) {
            open.hear(kind);
        }
    }

    /// Answers the orders that have ended, or were waited for long enough.
    fn answer(&mut self) {
        let is_over = |open: &Open| open.is_over() || open.since.elapsed() > PATIENCE;
        let over = self.open.iter().filter(|(_, open)| is_over(open));
        let over: Vec<u64> = over.map(|(id, _)| *id).collect();
        for open in over.iter().filter_map(|id| self.open.remove(id)) {
            open.send();
        }
        self.threads.retain(|thread| !thread.is_finished());
    }
}

impl Guard {
    /// Takes a request; its answer comes when all of it has ended.
    pub fn order(&mut self, asked: Asked) {
        let Asked { request, reply } = asked;
        match request {
            Request::End(request) => self.end_by_hand(request, reply),
            Request::Disarm(request) => {
                let answer = self.disarm(&request).map(Answer::Disarm);
                let _ = reply.send(answer);
            }
            Request::Whole(request) => self.whole_by_hand(&request, reply),
        }
    }

    fn end_by_hand(&mut self, request: ActionRequest, reply: Reply) {
        let (id, named) = match self.meant(&request) {
            Ok(meant) => meant,
            Err(unheard) => {
                let _ = reply.send(Err(unheard));
                return;
            }
        };
        let answer = ActionAnswer {
            action: request.action,
            target: super::named(self.places.get(id)).to_owned(),
            dry_run: request.dry_run,
            cost: request.action.cost().to_owned(),
            trees: Vec::new(),
        };
        let order = Order {
            id: self.desk.open_one(SoFar::Trees(answer), reply),
            what: Ordered::End {
                how: request.action,
                named,
                only: request.only,
            },
            dry_run: request.dry_run,
        };
        let now = clock::now();
        let trees = self.kernel.tables.trees().remove(&id.0);
        self.see_trees(now, id, trees.unwrap_or_default());
        self.step(now, id, InputKind::Operator(order));
        self.answer_orders();
    }

    /// The target that is meant, and the process in it.
    fn meant(&self, request: &ActionRequest) -> Result<(TargetId, Option<(u32, Place)>), Unheard> {
        let by_name = match &request.target {
            Some(name) => Some(self.target_of_name(name)?),
            None => None,
        };
        let Some(pid) = request.tree else {
            return Ok((by_name.map_or_else(|| self.only_target(), Ok)?, None));
        };
        let entry = self.kernel.tables.process(pid);
        let entry = entry.filter(|entry| entry.dead == 0 && !Place(entry.place).has_left());
        let entry = entry.ok_or_else(|| {
            let words = format!(
                "pid {pid} is no process of a guarded target; `metamcp-guard status --json` names \
                 the roots of all trees"
            );
            Unheard::NoSuch(words)
        })?;
        let id = TargetId(entry.slot);
        let place = self.places.get(id);
        if place.is_none() || by_name.is_some_and(|meant| meant != id) {
            let words = format!("pid {pid} is a process of {}", named(place));
            return Err(Unheard::NoSuch(words));
        }
        Ok((id, Some((pid, Place(entry.place)))))
    }

    pub(super) fn target_of_name(&self, name: &str) -> Result<TargetId, Unheard> {
        let mut all = self.places.iter();
        let found = all.find(|(_, place)| place.config.name == name);
        let found = found.map(|(id, _)| id);
        found.ok_or_else(|| {
            let words = format!("there is no target {name}; there are: {}", self.names());
            Unheard::NoSuch(words)
        })
    }

    fn only_target(&self) -> Result<TargetId, Unheard> {
        let mut all = self.places.iter().map(|(id, _)| id);
        match (all.next(), all.next()) {
            (Some(id), None) => Ok(id),
            (None, _) => Err(Unheard::NoSuch("there is no target yet".to_owned())),
            (Some(_), Some(_)) => {
                let words = format!("say which target is meant: {}", self.names());
                Err(Unheard::Unclear(words))
            }
        }
    }

    fn names(&self) -> String {
        let all = self
            .places
            .iter()
            .map(|(_, place)| place.config.name.as_str());
        all.collect::<Vec<_>>().join(", ")
    }

    /// Has trees of a target ended, on a thread of its own.
    pub(super) fn end_trees(&mut self, target: TargetId, permits: Vec<Permit>, written: Written) {
        self.desk.threads.retain(|thread| !thread.is_finished());
        let place = self.places.get(target);
        let up = place.and_then(|place| place.up.as_ref());
        let (Some(place), Some(up)) = (place, up) else {
            return self.not_ended(target, &permits, "its target is not there any more");
        };
        if self.desk.threads.len() >= MOST {
            let why = "as many orders as can be are under way: try again when they have ended";
            return self.not_ended(target, &permits, why);
        }
        let scene = Scene {
            slot: target.0,
            dir: up.dir.clone(),
            grace: place.config.end.grace,
            members: self.kernel.tables.members(),
            hurry: self.desk.hurry.clone(),
        };
        let otherwise = end::failed(&permits, "no thread to end it on: try again");
        let tell = self.desk.tell.clone();
        let tell = move |outcomes| {
            // An agent that ends hears no more.
            let _ = tell.send((target, outcomes));
        };
        let ready = move || {
            let _ = written.wait();
        };
        match end::begin(permits, scene, ready, tell) {
            Ok(thread) => self.desk.threads.push(thread),
            Err(error) => {
                tracing::error!(%error, "no thread to end trees");
                let _ = self.desk.tell.send((target, otherwise));
            }
        }
    }

    /// Says how something ended that was done elsewhere, as trees do.
    pub(super) fn tell_outcome(&self, target: TargetId, outcome: Outcome) {
        let _ = self.desk.tell.send((target, vec![outcome]));
    }

    fn not_ended(&mut self, target: TargetId, permits: &[Permit], why: &str) {
        let _ = self.desk.tell.send((target, end::failed(permits, why)));
    }

    /// Takes how trees ended.
    pub fn ended(&mut self, (target, outcomes): Ended) {
        let now = clock::now();
        for outcome in outcomes {
            self.step(now, target, InputKind::Outcome(outcome));
        }
        self.answer_orders();
    }

    /// The agent ends: what was begun is brought to its end, so that no half tree is left.
    pub(super) fn finish_ending(&mut self) {
        self.desk.hurry.begin();
        for thread in self.desk.threads.drain(..) {
            let _ = thread.join();
        }
        while let Ok(ended) = self.ends.try_recv() {
            self.ended(ended);
        }
    }
}
