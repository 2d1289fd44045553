//! Real files, and a real disk that is full.

use super::*;
use crate::model::{Action, Deed, Did, Doing, OutcomeKind, Reason, TargetId, Tier};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("guard-journal-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.0.join(FILE)).unwrap();
        let lines = text.lines().map(serde_json::from_str);
        lines.map(|line| line.unwrap_or(Value::Null)).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn doing() -> Doing {
    Doing {
        order: 4,
        deed: Deed::Restart { stop_s: 10 },
    }
}

fn decision() -> Decision {
    Decision {
        target: TargetId(0),
        tier: Tier::HostMonitor,
        reason: Reason::Nuclear,
        action: Action::Do(doing()),
        dry_run: false,
    }
}

#[test]
fn what_was_done_is_joined_to_why() {
    let folder = Folder::new("joined");
    let at = Stamp {
        boot_ns: 5,
        wall_ms: 1_700_000_000_000,
    };
    let (journal, pen, _health) = Journal::open(&folder.0, at.wall_ms).unwrap();
    let (id, written) = journal.intent(at, "gw", &decision());
    assert!(written.wait());
    assert_eq!(folder.lines().len(), 1, "written before it is done");
    let mut outcome = Outcome::of("restart", OutcomeKind::Failed("no".to_owned()));
    outcome.did = Some(Box::new(Did {
        doing: doing(),
        steps: Vec::new(),
        left: crate::model::deed::Left::default(),
    }));
    journal.outcome(&id, at, "gw", &outcome);
    let (other, _) = journal.intent(at, "gw", &decision());
    assert_ne!(id, other);
    drop(journal);
    pen.join().unwrap();
    let lines = folder.lines();
    assert_eq!(lines.len(), 3);
    let [intent, outcome, _] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!((&intent["id"], &outcome["id"]), (&json!(id), &json!(id)));
    assert_eq!(intent["tier"], "host_monitor");
    assert_eq!(intent["reason"], "nuclear");
    assert_eq!(intent["order"], 4);
    assert!(intent["cost"].as_str().unwrap().contains("sessions"));
    assert_eq!(
        (&outcome["done"], &outcome["why"]),
        (&json!(false), &json!("no"))
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&folder.0), mode(&folder.0.join(FILE))),
        (0o700, 0o600)
    );
}

#[test]
fn a_line_that_was_cut_spoils_no_other_and_notes_are_found_again() {
    let folder = Folder::new("cut");
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(folder.0.join(FILE), "{\"kind\":\"intent\",\"id").unwrap();
    let at = Stamp::default();
    let (journal, pen, _health) = Journal::open(&folder.0, 0).unwrap();
    let note = |target, value: Value| assert!(journal.note("ties", at, target, value).wait());
    note("gw", json!(["old"]));
    note("gw", json!(["net"]));
    note("other", json!([]));
    assert_eq!(folder.lines().len(), 4);
    assert_eq!(journal.last_note("ties", "gw"), Some(json!(["net"])));
    assert_eq!(journal.last_note("ties", "nobody"), None);
    assert_eq!(journal.last_note("other", "gw"), None);
    drop(journal);
    pen.join().unwrap();
}

#[test]
fn a_folder_that_cannot_be_is_said_once_and_nobody_waits_for_long() {
    let folder = Folder::new("no");
    // A file where the folder should be.
    fs::write(&folder.0, "").unwrap();
    let (journal, pen, health) = Journal::open(&folder.0, 0).unwrap();
    let (_, first) = journal.intent(Stamp::default(), "gw", &decision());
    let why = health.recv().unwrap().unwrap();
    assert!(why.contains("state_dir"), "{why}");
    let (_, _second) = journal.intent(Stamp::default(), "gw", &decision());
    assert!(!first.wait());
    fs::remove_file(&folder.0).unwrap();
    // Tried again at the end at the latest, with all that was kept.
    drop(journal);
    pen.join().unwrap();
    assert_eq!(health.recv().unwrap(), None);
    assert_eq!(folder.lines().len(), 2);
}
