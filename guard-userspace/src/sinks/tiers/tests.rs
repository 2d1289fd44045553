//! What stands in which file.

use super::*;
use crate::config::{Profile, TargetSource};
use crate::model::deed::Step;
use crate::model::{Deed, Did, Doing, Ending, Ground, How, Stamp};
use std::os::unix::fs::PermissionsExt;

fn fact(kind: FactKind) -> Fact {
    Fact {
        at: Stamp {
            boot_ns: 1,
            wall_ms: 1_700_000_000_123,
        },
        target: TargetId(0),
        kind,
    }
}

fn ending() -> Ending {
    Ending {
        order: 0,
        how: How::End,
        tree: 7,
        root: 70,
        family: "npx x".to_owned(),
        processes: 3,
        named: None,
        ground: Some(Ground::Orphan),
    }
}

fn doing() -> Doing {
    Doing {
        order: 0,
        deed: Deed::Restart { stop_s: 10 },
    }
}

fn decision(tier: &'static str, ending: Option<Ending>, doing: Option<Doing>) -> Fact {
    fact(FactKind::Decision {
        tier,
        action: if doing.is_some() { "restart" } else { "end" },
        reason: "cleanup",
        what: None,
        quiet: false,
        refused: None,
        dry_run: false,
        ending,
        doing,
    })
}

fn action(ending: Option<Ending>, did: Option<Did>) -> Fact {
    fact(FactKind::Action {
        action: if did.is_some() { "restart" } else { "end" },
        quiet: false,
        outcome: "done".to_owned(),
        done: true,
        ending,
        did: did.map(Box::new),
    })
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("guard-tiers-{}-{name}", std::process::id()));
        Self(dir)
    }

    fn config() -> TargetConfig {
        TargetConfig::of(
            TargetSource::Container("metamcp".to_owned()),
            Profile::Metamcp,
        )
    }

    fn file(&self, tier: &str) -> String {
        let path = self.0.join("logs").join(format!("{tier}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_tier_has_what_it_decided_and_what_became_of_it() {
    let scratch = Scratch::new("each");
    let config = Scratch::config();
    let mut logs = TierLogs::below(&scratch.0);
    let level = FactKind::Level {
        from: Level::Normal,
        to: Level::Critical,
        why: "35 \"processes\"".to_owned(),
    };
    let did = Did {
        doing: doing(),
        steps: vec![Step {
            what: "stop".to_owned(),
            wanted: String::new(),
            found: "stopped".to_owned(),
            ok: true,
        }],
        left: crate::model::deed::Left::default(),
    };
    for fact in [
        fact(level),
        decision("nuclear_monitor", Some(ending()), None),
        decision("host_monitor", None, Some(doing())),
        action(Some(ending()), None),
        action(None, Some(did)),
        // Nobody's of these.
        decision("operator", Some(ending()), None),
        action(Some(ending()), None),
        fact(FactKind::Disarmed { why: String::new() }),
    ] {
        logs.hear(&fact, &config);
    }
    drop(logs);
    insta::assert_snapshot!(scratch.file("nuclear_monitor"), @r#"
    {"timestamp":"2023-11-14T22:13:20.123Z","event":"level","target":"metamcp","tier":"nuclear_monitor","from":"normal","to":"critical","why":"35 \"processes\""}
    {"timestamp":"2023-11-14T22:13:20.123Z","event":"decision","target":"metamcp","tier":"nuclear_monitor","action":"end","reason":"cleanup","evidence":"orphan","root":70,"family":"npx x","processes":3,"cost":"none where it ends by end of file; else MetaMCP marks this server ERROR and ends all its instances"}
    {"timestamp":"2023-11-14T22:13:20.123Z","event":"action","target":"metamcp","tier":"nuclear_monitor","action":"end","outcome":"done","done":true,"evidence":"orphan","root":70,"family":"npx x","processes":3}
    "#);
    let host = scratch.file("host_monitor");
    let lines: Vec<&str> = host.lines().collect();
    assert_eq!(lines.len(), 2, "{host}");
    assert!(
        lines.iter().all(|line| line.contains("\"restart\"")),
        "{host}"
    );
    assert!(host.contains("\"steps\":\"stop=stopped\""), "{host}");
    assert_eq!(scratch.file("resource_enforcer").lines().count(), 1);
    assert_eq!(scratch.file("startup_preventer"), "");
    assert_eq!(scratch.file("operator"), "");
    let path = scratch.0.join("logs/host_monitor.log");
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // Whatever the umask takes away.
    assert_eq!(mode & !FILE_MODE, 0, "{mode:o}");
}

#[test]
fn a_file_of_its_own_is_used_and_one_that_was_moved_is_made_anew() {
    let scratch = Scratch::new("own");
    let mut config = Scratch::config();
    let own = scratch.0.join("deep/own.log");
    config.tiers.host_monitor.log = Some(own.clone());
    let once = || {
        let mut logs = TierLogs::below(&scratch.0);
        logs.hear(&decision("host_monitor", None, Some(doing())), &config);
    };
    once();
    fs::rename(&own, scratch.0.join("deep/own.log.1")).unwrap();
    once();
    once();
    assert_eq!(fs::read_to_string(&own).unwrap().lines().count(), 2);
}

#[test]
fn a_file_that_cannot_be_written_stops_nobody() {
    let scratch = Scratch::new("full");
    let mut config = Scratch::config();
    config.tiers.host_monitor.log = Some(PathBuf::from("/dev/full"));
    let mut logs = TierLogs::below(&scratch.0);
    logs.hear(&decision("host_monitor", None, Some(doing())), &config);
    logs.hear(&decision("nuclear_monitor", Some(ending()), None), &config);
    drop(logs);
    assert_eq!(scratch.file("nuclear_monitor").lines().count(), 1);
}
