//! The rooms of the agent: which may use which, which must stay pure, where unsafe code may be.

use crate::tidy::scan::{self, Path};
use crate::tidy::{File, Finding};

/// A room and the rooms it may use beside itself; every room may use `guard-common`.
type Room = (&'static str, &'static [&'static str]);

/// All rooms but those that may use nearly everything.
const ROOMS: [Room; 17] = [
    ("model", &[]),
    ("config", &["model"]),
    ("state", &["model", "config"]),
    ("incident", &["model", "config"]),
    ("policy", &["model", "config", "state", "incident"]),
    ("rails", &["model", "config", "state", "incident"]),
    (
        "engine",
        &["model", "config", "state", "incident", "policy", "rails"],
    ),
    ("mask", &[]),
    ("evidence", &["model", "config", "mask"]),
    ("targets", &["model", "config"]),
    ("journal", &["model", "config"]),
    ("sinks", &["model", "config"]),
    ("kernel", &["model", "config", "evidence", "mask"]),
    (
        "actions",
        &[
            "model", "config", "evidence", "rails", "kernel", "targets", "guardian",
        ],
    ),
    ("record", &["model", "config", "engine"]),
    ("guardian", &["model", "config", "kernel"]),
    ("report", &["model", "journal"]),
];

/// What people use; they act by sending Operator.
const ALL_BUT_ACTIONS: [&str; 5] = ["api", "tui", "cli", "doctor", "demo"];

/// From here on a recording must replay to the same end.
const PURE: [&str; 8] = [
    "model", "config", "state", "incident", "policy", "rails", "engine", "mask",
];

/// Modules of std that reach outside.
const OUTSIDE: [&str; 5] = ["fs", "env", "net", "process", "thread"];

/// Crates and types that pure rooms may not name: they reach outside or have no fixed order.
const IMPURE: [&str; 7] = [
    "tokio", "aya", "bollard", "rusqlite", "rand", "HashMap", "HashSet",
];

/// Where unsafe code may be. The last three are for tests alone.
const UNSAFE: [&str; 9] = [
    "guard-common/src/pod.rs",
    "guard-ebpf/src/maps.rs",
    "guard-ebpf/src/task.rs",
    "guard-ebpf/src/atomic.rs",
    "guard-ebpf/src/trees.rs",
    "guard-userspace/src/kernel/raw.rs",
    "guard-ebpf/src/bin/witness.rs",
    "tests/src/raw.rs",
    "tests/src/raw/ring.rs",
];

const AGENT: &str = "guard-userspace/src/";

/// Each room uses only what the table gives it.
pub fn layering(file: &File) -> Vec<Finding> {
    let Some(room) = room_of(&file.path) else {
        return Vec::new();
    };
    if room == "lib" {
        return Vec::new();
    }
    if may_use(room, room).is_none() {
        let what = format!("room `{room}` is not in the table of xtask/src/tidy/rooms.rs");
        return vec![Finding::new(0, what)];
    }
    let top = !file.path.trim_start_matches(AGENT).contains('/');
    scan::paths(&file.tokens)
        .iter()
        .filter_map(|path| {
            let used = used_room(path, top)?;
            (used != room && may_use(room, used) == Some(false)).then(|| {
                let what = format!(
                    "room `{room}` may not use room `{used}`: pass the data in, or move the code"
                );
                Finding::new(path.line, what)
            })
        })
        .collect()
}

/// The room that a path leads to. `super` leads there from a file at the top alone.
fn used_room(path: &Path, top: bool) -> Option<&str> {
    let (first, rest) = path.words.split_first()?;
    let leads = match first.as_str() {
        "crate" | "guard_userspace" => true,
        "super" => top && path.place.inline_modules == 0,
        _ => false,
    };
    // `pub(crate)` has no second word.
    rest.first()
        .filter(|word| leads && word.as_str() != "self")
        .map(String::as_str)
}

/// Whether the one may use the other; `None` for a room that is in no table.
fn may_use(room: &str, used: &str) -> Option<bool> {
    match room {
        "agent" => Some(true),
        // The demonstration's storms and the guardian are this program again, before any command
        // line is read.
        "main" => Some(["cli", "demo", "guardian"].contains(&used)),
        _ if ALL_BUT_ACTIONS.contains(&room) => {
            Some(used != "actions" && (used != "agent" || room == "cli"))
        }
        _ => {
            let (_, may) = ROOMS.iter().find(|(name, _)| *name == room)?;
            Some(may.contains(&used))
        }
    }
}

/// The agent's room that a file belongs to.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix(AGENT)?;
    inside
        .split('/')
        .next()
        .map(|name| name.strip_suffix(".rs").unwrap_or(name))
}

/// Pure rooms name nothing that reaches outside, tells the time or has no fixed order. Their tests
/// may.
pub fn purity(file: &File) -> Vec<Finding> {
    if !room_of(&file.path).is_some_and(|room| PURE.contains(&room)) {
        return Vec::new();
    }
    scan::paths(&file.tokens)
        .iter()
        .filter(|path| !path.place.test)
        .filter_map(|path| {
            let culprit = impure(path)?;
            let what = format!("a pure room may not name `{culprit}`: a recording must replay");
            Some(Finding::new(path.line, what))
        })
        .collect()
}

fn impure(path: &Path) -> Option<String> {
    let mut pairs = path.words.iter().zip(path.words.iter().skip(1));
    let outside =
        pairs.find(|(first, second)| *first == "std" && OUTSIDE.contains(&second.as_str()));
    if let Some((_, module)) = outside {
        return Some(format!("std::{module}"));
    }
    if path.place.called_empty && path.words.last().is_some_and(|word| word == "now") {
        return Some("now()".to_owned());
    }
    path.words
        .iter()
        .find(|word| IMPURE.contains(&word.as_str()))
        .cloned()
}

/// Unsafe code stands in few files, so that it can be read whole.
pub fn unsafety(file: &File) -> Vec<Finding> {
    if UNSAFE.contains(&file.path.as_str()) {
        return Vec::new();
    }
    scan::paths(&file.tokens)
        .iter()
        .filter(|path| path.words == ["unsafe"] && !path.place.attribute)
        .map(|path| {
            Finding::new(
                path.line,
                "unsafe code may not be here: UNSAFE in xtask/src/tidy/rooms.rs says where",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&File) -> Vec<Finding>, path: &str, source: &str) -> Vec<usize> {
        rule(&File::parse(path, source).unwrap())
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_room_uses_only_rooms_below_it() {
        let check = |path: &str, source: &str, expected: &[usize]| {
            let path = format!("{AGENT}{path}");
            assert_eq!(lines(layering, &path, source), expected, "{path}: {source}");
        };
        check(
            "policy/decide.rs",
            "use crate::model::Input;\nuse crate::state::Counts;",
            &[],
        );
        check(
            "policy/decide.rs",
            "// crate::kernel\nuse crate::kernel::Ring;",
            &[2],
        );
        check(
            "policy.rs",
            "use crate::{model, kernel::ring,\n actions};",
            &[1, 2],
        );
        check("policy.rs", "fn f() { crate::agent::go() }", &[1]);
        check("policy.rs", "use super::kernel;", &[1]);
        check("policy/level.rs", "use super::victims;", &[]);
        check(
            "policy.rs",
            "mod tests { use super::*; use super::decide; }",
            &[],
        );
        check("state.rs", "use crate::incident::Incident;", &[1]);
        check(
            "cli/args.rs",
            "use crate::agent;\nuse crate::actions;",
            &[2],
        );
        check("api.rs", "use crate::{agent, kernel};", &[1]);
        check("agent.rs", "use crate::{actions, kernel};", &[]);
        check(
            "model.rs",
            "pub(crate) fn f() {}\nuse guard_common::abi;",
            &[],
        );
        check(
            "main.rs",
            "use guard_userspace::cli;\nuse guard_userspace::agent;",
            &[2],
        );
        check("manager.rs", "", &[0]);
        check("lib.rs", "pub mod anything;", &[]);
    }

    #[test]
    fn pure_rooms_reach_nothing_outside() {
        let check = |path: &str, source: &str, expected: &[usize]| {
            let path = format!("{AGENT}{path}");
            assert_eq!(lines(purity, &path, source), expected, "{path}: {source}");
        };
        check(
            "state.rs",
            "use std::collections::BTreeMap;\nuse std::fs;",
            &[2],
        );
        check("state.rs", "use std::{fmt, thread};", &[1]);
        check("state.rs", "let t = Instant::now();", &[1]);
        check("state.rs", "fn f(now: Stamp) { g(now) }", &[]);
        check("state.rs", "let m: HashMap<u32, u32>;", &[1]);
        check("state.rs", "#[cfg(test)] mod tests { use std::fs; }", &[]);
        check("state.rs", "m!(tokio::spawn)", &[1]);
        check("kernel.rs", "use std::fs;", &[]);
    }

    #[test]
    fn unsafe_code_stands_where_it_may() {
        let check = |path: &str, source: &str, expected: &[usize]| {
            assert_eq!(lines(unsafety, path, source), expected, "{path}: {source}");
        };
        check("guard-userspace/src/agent.rs", "\nunsafe { f() }", &[2]);
        check("guard-userspace/src/kernel/raw.rs", "unsafe { f() }", &[]);
        check(
            "guard-ebpf/src/main.rs",
            "#[unsafe(no_mangle)] static X: u8 = 0;",
            &[],
        );
        check("guard-ebpf/src/main.rs", "// unsafe\n\"unsafe\"", &[]);
        check("guard-ebpf/src/gate.rs", "m!({ unsafe { f() } })", &[1]);
    }
}
