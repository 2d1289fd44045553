//! What holds whatever happens.

use super::*;
use proptest::prelude::*;

/// What may happen to a target, with the time before it.
fn any_input() -> impl Strategy<Value = (u64, InputKind)> {
    let kind = prop_oneof![
        Just(InputKind::Tick),
        Just(up()),
        Just(InputKind::Down { why: String::new() }),
        prop_oneof![
            Just(GateMode::Observe),
            Just(GateMode::Kill),
            Just(GateMode::Deny),
            Just(GateMode::Lsm)
        ]
        .prop_map(gate),
        prop_oneof![Just(Limit::Processes), Just(Limit::Rate)].prop_map(breach),
        (0u64..500).prop_map(|live| InputKind::Rate {
            second: 1_000,
            committed: live,
            counters: TargetCounters {
                live,
                spawns: live,
                ..Default::default()
            },
        }),
        any::<bool>().prop_map(|done| InputKind::Outcome(Outcome {
            action: "gate",
            limits: None,
            place: None,
            ended: None,
            did: None,
            kind: if done {
                OutcomeKind::Done
            } else {
                OutcomeKind::Failed("x".to_owned())
            },
        })),
    ];
    (0u64..30_000, kind)
}

proptest! {
    /// Invariant 3.
    #[test]
    fn observe_permits_nothing_that_changes_anything(
        inputs in prop::collection::vec(any_input(), 0..60),
    ) {
        let mut scene = Scene::new(Mode::Observe, container(Profile::Metamcp));
        for (wait_ms, kind) in inputs {
            scene.wait_ms(wait_ms);
            scene.feed(kind);
        }
        for permit in &scene.permits {
            match permit.action() {
                Action::Gate(limits) => prop_assert_eq!(limits.mode, GateMode::Observe as u32),
                action => prop_assert!(action.is_bookkeeping()),
            }
        }
    }

    #[test]
    fn nothing_is_decided_while_something_is_pending(
        inputs in prop::collection::vec(any_input(), 0..60),
    ) {
        let mut scene = Scene::new(Mode::Enforce, container(Profile::Metamcp));
        let mut pending = false;
        for (wait_ms, kind) in inputs {
            scene.wait_ms(wait_ms);
            let ends = matches!(kind, InputKind::Outcome(_));
            let before = scene.permits.len();
            scene.feed(kind);
            let decided = scene.permits.len() - before;
            prop_assert!(decided <= usize::from(!pending || ends));
            pending = (pending && !ends) || decided == 1;
        }
    }

    /// The lines' differences add up to the kernel's totals whatever samples are lost or late.
    #[test]
    fn lines_add_up_to_the_totals(
        seconds in prop::collection::vec((0u64..50, 0u64..9, any::<bool>(), any::<bool>()), 1..150),
    ) {
        let mut scene = Scene::guarded(container(Profile::Metamcp));
        let mut totals = TargetCounters::default();
        let mut told = (0, 0, 0);
        let mut late = None;
        let last = seconds.len() - 1;
        for (i, (spawns, threads, lost, swapped)) in seconds.into_iter().enumerate() {
            totals.spawns += spawns;
            totals.threads += threads;
            totals.exits += spawns / 2;
            let second = scene.now_ns / SECOND_NS;
            let sample = InputKind::Rate { second, committed: 0, counters: totals };
            scene.wait_ms(1_000);
            let mut inputs = vec![InputKind::Tick];
            match (i == last, lost, swapped) {
                (true, ..) => inputs.extend([sample].into_iter().chain(late.take())),
                (_, true, _) => {}
                (.., true) => inputs.extend(late.replace(sample)),
                (.., false) => inputs.extend([sample].into_iter().chain(late.take())),
            }
            for input in inputs {
                for fact in scene.feed(input) {
                    if let FactKind::SpawnRate { counts, .. } = fact {
                        told.0 += counts.spawns;
                        told.1 += counts.threads;
                        told.2 += counts.exits;
                    }
                }
            }
        }
        prop_assert_eq!(told, (totals.spawns, totals.threads, totals.exits));
    }
}
