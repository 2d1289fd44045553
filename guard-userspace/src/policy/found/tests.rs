//! Scenes of processes, each as pid, parent, session and command line.

use super::*;
use crate::config::{Profile, TargetSource};
use crate::model::ProcessKey;
use crate::model::kin::{TreeKind, TreeSeen};
use guard_common::tree::Place;

/// What the agent does with a survey, until there is nothing to do: what each process is then.
fn settled(
    config: &TargetConfig,
    init: Option<u32>,
    lines: &[(u32, u32, u32, &str)],
) -> Vec<String> {
    // All were adopted, each as the root of a tree of its own.
    let mut processes: Vec<Found> = lines
        .iter()
        .map(|(pid, parent, session, line)| Found {
            process: ProcessKey {
                pid: *pid,
                start_ticks: u64::from(*pid),
            },
            parent: *parent,
            session: *session,
            argv: line.split(' ').map(str::to_owned).collect(),
            place: Place::new(Role::Member, u64::from(*pid)),
        })
        .collect();
    for _ in 0..8 {
        let trees = processes.iter().map(|one| tree(one.place.tree()));
        let survey = Survey {
            trees: trees.collect(),
            processes: processes.clone(),
            init,
        };
        let mut gateways = Gateways::default();
        for one in &survey.processes {
            if one.place.role() == Role::Gateway {
                gateways.admit(one.process.pid, &one.argv);
            }
        }
        let actions = decide(&survey, config, &mut gateways);
        if actions.is_empty() {
            return processes.iter().map(said).collect();
        }
        for (_, action) in actions {
            apply(&mut processes, action);
        }
    }
    panic!(
        "it does not settle: {:?}",
        processes.iter().map(said).collect::<Vec<_>>()
    );
}

/// Here a tree has the number of its root.
fn tree(id: u64) -> TreeSeen {
    TreeSeen {
        id,
        root: u32::try_from(id).unwrap(),
        kind: TreeKind::Tree,
        used: 1,
        reserved: 0,
        born_ns: 0,
        active_ns: 0,
    }
}

fn apply(processes: &mut [Found], action: Action) {
    let (process, place) = match action {
        Action::Role { process, role, .. } => (process, Place::new(role, 0)),
        Action::Protect { process, .. } => {
            (process, Place::new(Role::Gateway, u64::from(process.pid)))
        }
        Action::Move { process, post } => {
            let own = u64::from(process.pid);
            let place = match post {
                Post::Wrapper => Place::new(Role::Wrapper, 0),
                Post::Gateway => Place::new(Role::Gateway, 0),
                Post::Found | Post::Root => Place::new(Role::Member, own),
                Post::Guest => Place::new(Role::Guest, own),
                Post::In { id, .. } => {
                    let first = processes.iter().find(|one| one.place.tree() == id).unwrap();
                    let role = match first.place.role() {
                        Role::Guest => Role::Guest,
                        _ => Role::Member,
                    };
                    Place::new(role, id)
                }
                Post::Nobody => Place::NOBODY,
            };
            (process, place)
        }
        other => panic!("{other:?}"),
    };
    let found = processes.iter_mut().find(|one| one.process == process);
    found.unwrap().place = place;
}

fn said(found: &Found) -> String {
    let (pid, role) = (found.process.pid, found.place.role().name());
    match found.place.tree() {
        0 => format!("{pid} {role}"),
        tree if tree == u64::from(pid) => format!("{pid} {role} of its own"),
        tree => format!("{pid} {role} of {tree}"),
    }
}

fn container() -> TargetConfig {
    let source = TargetSource::Container("metamcp".to_owned());
    TargetConfig::of(source, Profile::Metamcp)
}

#[test]
fn metamcp_as_it_runs() {
    let found = settled(
        &container(),
        Some(10),
        &[
            (10, 1, 10, "sh docker-entrypoint.sh"),
            (11, 10, 10, "node backend/dist/index.js"),
            (12, 10, 10, "node /usr/bin/pnpm start"),
            (13, 12, 10, "node next start"),
            (20, 11, 20, "npm exec server-memory"),
            (21, 20, 20, "sh -c mcp-server-memory"),
            (22, 21, 20, "node mcp-server-memory"),
            (30, 11, 30, "npm exec server-memory"),
            (40, 13, 10, "node next worker"),
            (50, 2, 50, "sh"),
            (51, 50, 50, "ls"),
        ],
    );
    let expected = [
        "10 wrapper",
        "11 gateway",
        "12 wrapper",
        "13 gateway",
        "20 member of its own",
        "21 member of 20",
        "22 member of 20",
        "30 member of its own",
        "40 member of its own",
        "50 guest of its own",
        "51 guest of 50",
    ];
    assert_eq!(found, expected);
}

#[test]
fn orphans_are_told_by_their_session() {
    let found = settled(
        &container(),
        Some(10),
        &[
            (10, 1, 10, "tini -- node gateway.js"),
            (11, 10, 10, "node gateway.js"),
            // Their root 20 is gone, and the init has adopted them.
            (21, 10, 20, "sh -c server"),
            (22, 21, 20, "node server"),
            (23, 10, 20, "node helper"),
        ],
    );
    let expected = [
        "10 wrapper",
        "11 gateway",
        "21 member of its own",
        "22 member of 21",
        "23 member of 21",
    ];
    assert_eq!(found, expected);
}

#[test]
fn in_a_cgroup_everybody_belongs() {
    let source = TargetSource::Cgroup("/sys/fs/cgroup/x".into());
    let config = TargetConfig::of(source, Profile::Generic);
    let found = settled(
        &config,
        None,
        &[
            (10, 1, 10, "bash"),
            (11, 10, 10, "sleep 9"),
            (20, 1, 20, "sshd"),
        ],
    );
    let expected = [
        "10 member of its own",
        "11 member of 10",
        "20 member of its own",
    ];
    assert_eq!(found, expected);
}

#[test]
fn whose_parent_has_ended_stays_in_its_tree() {
    let found = |pid: u32, parent: u32, place: Place| Found {
        process: ProcessKey {
            pid,
            start_ticks: u64::from(pid),
        },
        parent,
        session: pid,
        argv: vec!["node".to_owned()],
        place,
    };
    let member = |of| Place::new(Role::Member, of);
    let check = |config: &TargetConfig, init, processes: &[Found]| {
        let survey = Survey {
            processes: processes.to_vec(),
            trees: vec![tree(20), tree(30)],
            init,
        };
        let mut gateways = Gateways::default();
        gateways.admit(11, &["node".to_owned()]);
        assert_eq!(decide(&survey, config, &mut gateways), [], "{processes:?}");
    };
    let mut init = found(10, 1, Place::new(Role::Wrapper, 0));
    init.argv = vec!["tini".to_owned()];
    let scene = [
        init,
        found(11, 10, Place::new(Role::Gateway, 0)),
        // Of the root 20, which is gone; adopted by the init, and by the gateway.
        found(21, 10, member(20)),
        found(22, 21, member(20)),
        found(23, 11, member(20)),
        // Adopted by who is outside.
        found(31, 2, member(30)),
    ];
    check(&container(), Some(10), &scene);
    let cgroup = TargetSource::Cgroup("/sys/fs/cgroup/x".into());
    let cgroup = TargetConfig::of(cgroup, Profile::Generic);
    check(&cgroup, None, &scene[5..]);
}
