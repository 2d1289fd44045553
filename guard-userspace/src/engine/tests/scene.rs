//! A target, and what happens to it.

use super::*;

/// An engine with one target, fed with what happens to it.
pub struct Scene {
    pub engine: Engine,
    pub now_ns: u64,
    pub permits: Vec<Permit>,
}

impl Scene {
    pub fn new(mode: Mode, config: TargetConfig) -> Self {
        let mut engine = Engine::new(mode);
        engine.watch(T, config);
        Self {
            engine,
            now_ns: 1_000 * SECOND_NS,
            permits: Vec::new(),
        }
    }

    pub fn wait_ms(&mut self, ms: u64) {
        self.now_ns += ms * 1_000_000;
    }

    pub fn feed(&mut self, kind: InputKind) -> Vec<FactKind> {
        let at = Stamp {
            boot_ns: self.now_ns,
            wall_ms: 0,
        };
        let (permits, facts) = self.engine.step(&Input {
            at,
            target: T,
            kind,
        });
        self.permits.extend(permits);
        facts.into_iter().map(|fact| fact.kind).collect()
    }

    /// So many processes beyond those of the four trees that are healthy.
    pub fn live(&mut self, live: u64) -> Vec<FactKind> {
        let counters = TargetCounters {
            live: live + 4,
            trees: live + 4,
            ..Default::default()
        };
        let trees = (1..=live + 4).map(|id| tree(id, self.now_ns)).collect();
        let second = self.now_ns / SECOND_NS;
        let mut facts = self.feed(InputKind::Trees {
            seen: trees,
            committed: live,
        });
        facts.extend(self.feed(InputKind::Rate {
            second,
            committed: live,
            counters,
        }));
        facts
    }

    pub fn level(&self) -> Level {
        self.engine.target(T).unwrap().state.level()
    }

    /// Ends the action that was permitted last.
    pub fn done(&mut self) -> Vec<FactKind> {
        let limits = limits(self.permits.last().unwrap());
        let kind = OutcomeKind::Done;
        self.feed(InputKind::Outcome(Outcome {
            action: "gate",
            limits: Some(limits),
            place: None,
            ended: None,
            did: None,
            kind,
        }))
    }

    pub fn failed(&mut self) -> Vec<FactKind> {
        let kind = OutcomeKind::Failed("EPERM".to_owned());
        self.feed(InputKind::Outcome(Outcome {
            action: "gate",
            limits: None,
            place: None,
            ended: None,
            did: None,
            kind,
        }))
    }

    pub fn guarded(config: TargetConfig) -> Self {
        let mut scene = Self::new(Mode::Enforce, config);
        scene.feed(gate(GateMode::Kill));
        scene.done();
        scene.feed(up());
        scene
    }
}
