//! A model of a gateway's container: servers that are opened and end, a cap that refuses, and a host that
//! carries out what is permitted, late and not always. Everything random comes from one seed.

mod host;

use super::*;
use crate::model::deed::Left;
use crate::model::dice::Dice;
use crate::model::evidence::Writer;
use crate::model::kin::Birth;
use guard_common::tree::{Place, Role};
use std::collections::{BTreeMap, VecDeque};

/// Its gateway.
const GATEWAY: u32 = 10;

/// A server's tree, or an entry from outside.
#[derive(Clone, Debug)]
pub struct Server {
    pub family: String,
    pub kind: TreeKind,
    pub used: u64,
    pub reserved: u64,
    pub born_ns: u64,
    /// It uses CPU time.
    pub busy: bool,
    pub cpu_ns: u64,
    pub writer: Writer,
    pub orphan: bool,
    /// It does not end by end of file.
    pub deaf: bool,
}

/// What happens later.
#[derive(Clone, Debug)]
enum Due {
    Look,
    Ended(Ending),
    Did(Doing),
    Up,
}

pub struct World {
    pub engine: Engine,
    pub now_ns: u64,
    pub dice: Dice,
    pub servers: BTreeMap<u64, Server>,
    pub said: Vec<(u64, FactKind)>,
    /// What was permitted, and when.
    pub did: Vec<(u64, Action)>,
    /// One action in so many fails; 0: none does.
    pub fails_once_in: u64,
    /// How a restart or recreation that fails leaves it, one after the other; then as it was.
    pub leaves: Vec<Left>,
    /// Spawns that were refused.
    pub refused: u64,
    pub mb_per_process: u64,
    pub full_avg10: u64,
    pub zombies: Vec<crate::model::evidence::Zombies>,
    pub memory_limit: u64,
    /// Called with each permit, before it is carried out.
    pub judge: fn(&World, &Permit),
    is_up: bool,
    limits: Option<GateLimits>,
    due: Vec<(u64, Due)>,
    next: u64,
    totals: TargetCounters,
}

impl World {
    /// A container that has just started, with its gateway.
    pub fn new(mode: Mode, config: TargetConfig, seed: u64) -> Self {
        let mut engine = Engine::new(mode);
        engine.watch(T, config);
        let mut world = Self {
            engine,
            now_ns: 100_000 * SECOND_NS,
            dice: Dice::new(seed),
            servers: BTreeMap::new(),
            said: Vec::new(),
            did: Vec::new(),
            fails_once_in: 0,
            leaves: Vec::new(),
            refused: 0,
            mb_per_process: 17,
            full_avg10: 0,
            zombies: Vec::new(),
            memory_limit: 4 << 30,
            judge: |_, _| {},
            is_up: false,
            limits: None,
            due: Vec::new(),
            next: 1,
            totals: TargetCounters::default(),
        };
        world.feed(gate(GateMode::Kill));
        world.start();
        world
    }

    pub fn state(&self) -> &crate::state::TargetState {
        &self.engine.target(T).unwrap().state
    }

    pub fn config(&self) -> &TargetConfig {
        &self.engine.target(T).unwrap().config
    }

    pub fn level(&self) -> Level {
        self.state().level()
    }

    /// Facts of one name, with their times in seconds since the beginning.
    pub fn facts(&self, name: &str) -> Vec<&FactKind> {
        let all = self.said.iter().map(|(_, fact)| fact);
        all.filter(|fact| fact.name() == name).collect()
    }

    /// What was done that is more than bookkeeping, by name: but for the gate.
    pub fn deeds(&self) -> Vec<&'static str> {
        let all = self.did.iter().map(|(_, action)| action);
        let acts =
            all.filter(|action| !action.is_bookkeeping() && !matches!(action, Action::Gate(_)));
        acts.map(Action::name).collect()
    }

    fn start(&mut self) {
        self.is_up = true;
        self.feed(InputKind::Up {
            cgroup: CgroupId(self.now_ns),
            path: "/docker/abc".to_owned(),
            adopted: 0,
            inherited: None,
            from_birth: true,
            started_ns: self.now_ns,
        });
        let place = Place::new(Role::Wrapper, 0);
        self.born(GATEWAY, 0, place, Birth::Entered, "node dist/index.js");
    }

    fn born(&mut self, pid: u32, parent: u32, place: Place, birth: Birth, line: &str) {
        let process = self.key(pid);
        self.feed(InputKind::Spawned {
            process,
            parent,
            comm: "node".to_owned(),
            place,
            birth,
        });
        let argv = line.split(' ').map(str::to_owned).collect();
        self.feed(InputKind::Execed { process, argv });
    }

    fn key(&self, pid: u32) -> ProcessKey {
        ProcessKey {
            pid,
            start_ticks: u64::from(pid),
        }
    }

    pub fn committed(&self) -> u64 {
        let trees = self
            .servers
            .values()
            .filter(|one| one.kind == TreeKind::Tree);
        1 + trees.map(|one| one.used.max(one.reserved)).sum::<u64>()
    }

    pub fn live(&self) -> u64 {
        let trees = self
            .servers
            .values()
            .filter(|one| one.kind == TreeKind::Tree);
        u64::from(self.is_up) + trees.map(|one| one.used).sum::<u64>()
    }

    /// A server of that family is spawned by the gateway; `None`: refused.
    pub fn open(&mut self, family: &str) -> Option<u64> {
        let limits = self.limits?;
        if !self.is_up {
            return None;
        }
        let terms = limits.terms();
        let is_over = self.committed() + terms.tree_processes > terms.open_to_trees();
        if is_over {
            let observed = limits.mode == GateMode::Observe as u32;
            self.refused += 1;
            self.totals.denied += u64::from(!observed);
            let verdict = if observed {
                BreachVerdict::Observed
            } else {
                BreachVerdict::Denied
            };
            self.feed(InputKind::Breach {
                limit: Limit::Processes,
                verdict,
                pid: GATEWAY,
                comm: "node".to_owned(),
                committed: self.committed(),
                max_processes: limits.max_processes,
            });
            if !observed {
                return None;
            }
        }
        Some(self.put(family, TreeKind::Tree))
    }

    /// Somebody runs something in it.
    pub fn enter(&mut self, writer: Writer) -> u64 {
        let id = self.put("sh", TreeKind::Guests);
        self.servers.get_mut(&id).unwrap().writer = writer;
        id
    }

    fn put(&mut self, family: &str, kind: TreeKind) -> u64 {
        let id = self.next;
        self.next += 1;
        let (role, birth) = match kind {
            TreeKind::Guests => (Role::Guest, Birth::Entered),
            _ => (Role::Member, Birth::Root),
        };
        let used = if kind == TreeKind::Tree { 3 } else { 1 };
        self.totals.spawns += used;
        let server = Server {
            family: family.to_owned(),
            kind,
            used,
            reserved: if kind == TreeKind::Tree { 4 } else { 0 },
            born_ns: self.now_ns,
            busy: false,
            cpu_ns: 0,
            writer: Writer::There,
            orphan: false,
            deaf: false,
        };
        self.servers.insert(id, server);
        let pid = tree(id, 0).root;
        self.born(pid, GATEWAY, Place::new(role, id), birth, family);
        id
    }

    /// A server ends by itself, or was ended.
    pub fn close(&mut self, id: u64) {
        if let Some(server) = self.servers.remove(&id) {
            self.totals.exits += server.used;
            let process = self.key(tree(id, 0).root);
            self.feed(InputKind::Exited { process, status: 0 });
        }
    }

    /// So many seconds pass, and all is looked at after each `step`.
    pub fn pass(&mut self, seconds: u64, step: u64) {
        for _ in 0..seconds / step {
            self.now_ns += step * SECOND_NS;
            for server in self.servers.values_mut().filter(|one| one.busy) {
                server.cpu_ns += 1_000_000;
            }
            self.happen();
            self.tick();
        }
    }

    fn tick(&mut self) {
        if self.is_up {
            let bytes = self.live() * self.mb_per_process * 1_000_000;
            let limit = Some(self.memory_limit);
            self.feed(InputKind::Memory {
                bytes,
                limit,
                reclaimable: 0,
            });
        }
        let full_avg10 = self.full_avg10;
        if full_avg10 != self.state().host_full_avg10() {
            self.feed(InputKind::Pressure { full_avg10 });
        }
        self.feed(InputKind::Tick);
        if !self.is_up {
            return;
        }
        let seen = self.seen();
        let committed = self.committed();
        self.feed(InputKind::Trees { seen, committed });
        let guests = self
            .servers
            .values()
            .filter(|one| one.kind == TreeKind::Guests);
        let counters = TargetCounters {
            live: self.live(),
            guests: guests.map(|one| one.used).sum(),
            trees: self.servers.len() as u64,
            ..self.totals
        };
        let second = self.now_ns / SECOND_NS;
        self.feed(InputKind::Rate {
            second,
            committed,
            counters,
        });
    }

    fn seen(&self) -> Vec<TreeSeen> {
        let all = self.servers.iter();
        let seen = all.map(|(id, one)| TreeSeen {
            kind: one.kind,
            used: one.used,
            reserved: one.reserved,
            ..tree(*id, one.born_ns)
        });
        seen.collect()
    }

    /// One input, and what is permitted by it.
    pub fn feed(&mut self, kind: InputKind) {
        let mut open = VecDeque::from([kind]);
        while let Some(kind) = open.pop_front() {
            let at = Stamp {
                boot_ns: self.now_ns,
                wall_ms: 0,
            };
            let input = Input {
                at,
                target: T,
                kind,
            };
            let (permits, facts) = self.engine.step(&input);
            let facts = facts.into_iter().map(|fact| (self.now_ns, fact.kind));
            self.said.extend(facts);
            for permit in permits {
                (self.judge)(self, &permit);
                self.did.push((self.now_ns, permit.action().clone()));
                open.extend(self.carry_out(permit.action()).map(InputKind::Outcome));
            }
        }
    }
}
