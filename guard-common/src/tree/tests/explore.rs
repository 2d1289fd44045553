//! All orders in which the steps of several CPUs can happen, each state once.

extern crate std;

use super::machine::{Fixed, Run};
use super::op::{End, Op};
use super::state::{Fate, Pid, State};
use crate::bucket::Shape;
use crate::tree::place::{Place, Role};
use crate::tree::{Refusal, Terms};
use core::hash::{Hash, Hasher};
use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::string::String;
use std::vec::Vec;
use std::{eprintln, format, vec};

/// Longest operation, in steps: an endless one is a defect.
const LONGEST: usize = 60;

/// Most operations of one script.
const OPS: usize = 64;

/// CPUs with something to do, and what they share.
#[derive(Clone, Debug)]
pub struct Scene {
    pub state: State,
    pub terms: Terms,
    pub shape: Shape,
    /// The script of each CPU.
    pub scripts: Vec<Vec<Op>>,
    /// Whether a script changes the cap.
    pub cap_changes: bool,
    /// CPU of an agent that may die between two operations.
    pub mortal: Option<usize>,
    /// What else must be true when all is done.
    pub at_rest: fn(&State),
}

impl Scene {
    /// Whether the agent moves this process anywhere in it.
    fn moves(&self, pid: Pid) -> bool {
        let all = self.scripts.iter().flatten();
        let mut moved = all.filter_map(|op| match op {
            Op::Move(moved, _) | Op::Follow(moved, _) => Some(*moved),
            _ => None,
        });
        moved.any(|moved| moved == pid)
    }

    /// Room for accounts, cap, reserve, slots of a root; a bucket that is full.
    pub fn new(accounts: usize, cap: u64, reserve: u64, tree: u64) -> Self {
        Self {
            state: State::new(accounts, cap),
            terms: Terms {
                max_processes: cap,
                reserve,
                tree_processes: tree,
                tree_spawns: tree,
                guest_processes: 2,
            },
            shape: Shape {
                token_ns: 1,
                burst: 100,
            },
            scripts: Vec::new(),
            cap_changes: false,
            mortal: None,
            at_rest: |_| {},
        }
    }

    /// What happened before: one operation after the other.
    #[must_use]
    pub fn after(mut self, ops: &[Op]) -> Self {
        for &op in ops {
            run_whole(&mut self, op);
        }
        self
    }

    /// One more CPU.
    #[must_use]
    pub fn cpu(mut self, script: &[Op]) -> Self {
        assert!(script.len() < OPS);
        self.cap_changes |= script.iter().any(|op| matches!(op, Op::Cap(_)));
        self.scripts.push(script.to_vec());
        self
    }

    /// One more CPU: an agent, which may die between two of its operations.
    #[must_use]
    pub fn agent(mut self, script: &[Op]) -> Self {
        self.mortal = Some(self.scripts.len());
        self.cpu(script)
    }

    /// Where all CPUs stand at the beginning.
    pub fn begin(&self) -> Moment {
        let cpu = Cpu {
            next: 0,
            log: Vec::new(),
            full: None,
        };
        Moment {
            state: self.state,
            cpus: vec![cpu; self.scripts.len()],
        }
    }
}

/// Runs one operation undisturbed; returns how it ended.
pub fn run_whole(scene: &mut Scene, op: Op) -> End {
    let mut one = scene.clone();
    one.scripts = vec![vec![op]];
    one.mortal = None;
    one.cap_changes = true;
    let mut moment = one.begin();
    loop {
        let end = moment.advance(&one, 0).unwrap();
        if let Some(end) = end {
            moment.state.check_at_rest().unwrap();
            scene.state = moment.state;
            scene.state.last_id += OPS as u64;
            return end;
        }
    }
}

/// How far a CPU is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cpu {
    /// The operation of its script that is next or under way.
    next: usize,
    /// What that has seen so far.
    log: Vec<u64>,
    /// Whether the forking parent's account was full when it was looked at: ever, and at last.
    full: Option<(bool, bool)>,
}

/// A state, and how far each CPU is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    pub state: State,
    cpus: Vec<Cpu>,
}

impl Moment {
    fn op(&self, scene: &Scene, cpu: usize) -> Option<Op> {
        scene.scripts[cpu].get(self.cpus[cpu].next).copied()
    }

    /// The CPUs that can make a step.
    pub fn ready<'a>(&'a self, scene: &'a Scene) -> impl Iterator<Item = usize> + 'a {
        (0..self.cpus.len()).filter(move |&cpu| {
            self.op(scene, cpu)
                .is_some_and(|op| op.needs().all(|pid| self.state.fates[pid] != Fate::Open))
        })
    }

    /// One step of `cpu`; tells how its operation ended if this was its last.
    pub fn advance(&mut self, scene: &Scene, cpu: usize) -> Result<Option<End>, String> {
        let op = self.op(scene, cpu).unwrap();
        if op.needs().any(|pid| self.state.fates[pid] == Fate::Never) {
            self.skip(op, cpu);
            return Ok(Some(End::Done));
        }
        let at = &mut self.cpus[cpu];
        let fixed = Fixed {
            terms: scene.terms,
            shape: scene.shape,
            cap_changes: scene.cap_changes,
            id: self.state.last_id + 1 + (cpu * OPS + at.next) as u64,
        };
        let run = Run::new(&mut self.state, &at.log, fixed);
        let step = run.advance(op);
        at.log.extend(step.seen);
        if let Some(full) = step.full {
            let ever = at.full.is_some_and(|(ever, _)| ever);
            at.full = Some((ever || full, full));
        }
        if at.log.len() > LONGEST {
            return Err(format!("{op:?} does not end"));
        }
        if let Some(end) = step.end {
            let looked = at.full.take();
            at.next += 1;
            at.log.clear();
            self.ended(scene, op, end, looked)?;
        }
        self.state.check_now()?;
        Ok(step.end)
    }

    /// An operation of a process that was never born.
    fn skip(&mut self, op: Op, cpu: usize) {
        self.cpus[cpu].next += 1;
        if let Op::Fork { child, .. } = op {
            self.state.fates[child] = Fate::Never;
        }
    }

    /// What must be true when an operation ends.
    fn ended(
        &mut self,
        scene: &Scene,
        op: Op,
        end: End,
        looked: Option<(bool, bool)>,
    ) -> Result<(), String> {
        let (Op::Fork { parent, child, .. }, End::Refused(met)) = (op, end) else {
            return Ok(());
        };
        self.state.fates[child] = Fate::Never;
        let place = Place(self.state.places[parent]);
        // Who went, or was moved while its fork asked, may have found no account to look at.
        let full = looked.map_or(place.has_left() || scene.moves(parent), |both| {
            both == (true, true)
        });
        let limit = matches!(met, Refusal::Slots | Refusal::Tokens);
        self.state.refused += u64::from(met != Refusal::Left);
        if place.role() == Role::Member && limit && !full {
            return Err(format!("half a tree: {parent} had a spare slot"));
        }
        Ok(())
    }

    fn fingerprint(&self) -> (u64, u64) {
        let half = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            (salt, self).hash(&mut hasher);
            hasher.finish()
        };
        (half(1), half(2))
    }

    fn is_between(&self, cpu: usize) -> bool {
        self.cpus[cpu].log.is_empty()
    }
}

/// Moments that were visited, by fingerprint: 128 bits do not meet by chance.
type Seen = HashSet<(u64, u64)>;

/// Goes through all orders; returns how many states there are. A defect is told with the steps
/// that lead to it.
pub fn explore(name: &str, scene: &Scene) -> usize {
    let mut seen = Seen::new();
    let mut trail = Vec::new();
    let first = scene.begin();
    if let Err(defect) = visit(scene, &first, &mut seen, &mut trail) {
        eprintln!("{name}: {defect}\nafter the steps of these CPUs: {trail:?}");
        for (cpu, script) in scene.scripts.iter().enumerate() {
            eprintln!("  {cpu}: {script:?}");
        }
        panic!("{name}: {defect}");
    }
    seen.len()
}

fn visit(
    scene: &Scene,
    moment: &Moment,
    seen: &mut Seen,
    trail: &mut Vec<usize>,
) -> Result<(), String> {
    if !seen.insert(moment.fingerprint()) {
        return Ok(());
    }
    let ready: Vec<usize> = moment.ready(scene).collect();
    if ready.is_empty() {
        return rest(scene, &moment.state);
    }
    for cpu in ready {
        let mut next = moment.clone();
        trail.push(cpu);
        next.advance(scene, cpu)?;
        visit(scene, &next, seen, trail)?;
        trail.pop();
        if scene.mortal == Some(cpu) && moment.is_between(cpu) {
            let mut next = moment.clone();
            next.cpus[cpu].next = scene.scripts[cpu].len();
            visit(scene, &next, seen, trail)?;
        }
    }
    Ok(())
}

/// Nothing is under way: the sums are exact, and so they are after all have ended.
fn rest(scene: &Scene, state: &State) -> Result<(), String> {
    state.check_at_rest()?;
    (scene.at_rest)(state);
    all_end(scene, state)
}

/// Ends all processes; nothing may be left.
pub fn all_end(scene: &Scene, state: &State) -> Result<(), String> {
    let mut over = scene.clone();
    over.state = *state;
    for pid in 0..state.places.len() {
        if over.state.is_alive(pid) {
            run_whole(&mut over, Op::Exit(pid));
        }
    }
    let left = over.state.committed + over.state.trees().count() as u64;
    if left == 0 {
        Ok(())
    } else {
        Err(format!("not all came back: {:?}", over.state))
    }
}
