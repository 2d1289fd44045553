//! docs/config.md is made of examples/config.toml and the two profiles, and this test keeps all of
//! them the same. `UPDATE_DOCS=1 cargo test -p guard-userspace reference` writes it.

use crate::config::{Profile, TargetConfig, TargetSource, read};
use core::fmt::Write;
use std::collections::BTreeSet;

const EXAMPLE: &str = include_str!("../../../examples/config.toml");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.md");

const HEAD: &str = "# Configuration

Made of `examples/config.toml` and the profiles by `UPDATE_DOCS=1 cargo test -p guard-userspace
reference`; change it there.

The file is TOML, `/etc/metamcp-guard/config.toml` unless `--config` names another. Every key may be
left out. `metamcp-guard config check` names each mistake with its line, `config show` prints what
holds. An unknown key is an error. A target begins with the values of its `profile`, and the file's
values replace them one by one; where the column generic is empty, both have the same. Without a
file the container `metamcp` is guarded with profile metamcp.

Some of it has no effect yet: `park_for`, `parked_max`, `limits.nproc` and `[[notify]]` are checked, so
that a file written today stays right, and used by later versions.
";

/// A key of the example.
struct Key {
    /// Its tables and itself: `target.gate.reserve`.
    path: String,
    /// As written.
    value: String,
    meaning: String,
    /// Commented out in the example.
    unset: bool,
}

/// The example's tables in order, each with its remark and keys.
fn tables() -> Vec<(String, String, Vec<Key>)> {
    let mut tables = vec![(String::new(), String::new(), Vec::new())];
    let mut lines = EXAMPLE.lines();
    while let Some(line) = lines.next() {
        let (unset, line) = line
            .strip_prefix("# ")
            .map_or((false, line), |rest| (true, rest));
        let mut line = line.to_owned();
        if line.starts_with('[') {
            let (header, remark) = line.split_once('#').unwrap_or((&line, ""));
            tables.push((
                header.trim().to_owned(),
                remark.trim().to_owned(),
                Vec::new(),
            ));
            continue;
        }
        let first = line.clone();
        let Some((key, _)) = first.split_once(" = ") else {
            continue;
        };
        if !key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            continue;
        }
        // A list over several lines.
        let (mut value, remark) = split_remark(&line);
        while value.matches('[').count() > value.matches(']').count() {
            line = lines.next().unwrap().to_owned();
            value = format!("{value} {}", line.trim());
        }
        let (header, _, keys) = tables.last_mut().unwrap();
        let table = header.trim_matches(['[', ']']);
        let path = if table.is_empty() {
            key.to_owned()
        } else {
            format!("{table}.{key}")
        };
        let value = value.split_once(" = ").unwrap().1.trim().to_owned();
        keys.push(Key {
            path,
            value,
            meaning: remark,
            unset,
        });
    }
    tables
}

/// A line without its remark, and the remark.
fn split_remark(line: &str) -> (String, String) {
    let (value, remark) = line.rsplit_once(" # ").unwrap_or((line, ""));
    (value.trim().to_owned(), remark.trim().to_owned())
}

/// What profile generic has at `path`, if it differs.
fn generic(key: &Key) -> String {
    let source = TargetSource::Container("metamcp".to_owned());
    let profile = |profile| {
        let target = TargetConfig::of(source.clone(), profile);
        let mut found = toml::Value::try_from(target).unwrap();
        for part in key.path.strip_prefix("target.")?.split('.') {
            found = found.get(part)?.clone();
        }
        Some(found)
    };
    let ours = profile(Profile::Generic);
    if !key.path.starts_with("target.") || key.unset || ours == profile(Profile::Metamcp) {
        return String::new();
    }
    match ours {
        None => "none".to_owned(),
        Some(toml::Value::Table(table)) => {
            let parts = table
                .iter()
                .map(|(name, value)| format!("{name} = {value}"));
            format!("`{{ {} }}`", parts.collect::<Vec<_>>().join(", "))
        }
        Some(value) => format!("`{value}`"),
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (header, remark, keys) in tables() {
        let title = if header.is_empty() {
            "At the top".to_owned()
        } else {
            format!("`{header}`")
        };
        let colon = if remark.is_empty() { "" } else { ": " };
        let _ = write!(
            page,
            "\n## {title}{colon}{remark}\n\n| key | metamcp | generic | meaning |\n|---|---|---|---|\n"
        );
        for key in keys {
            let name = key.path.rsplit('.').next().unwrap();
            let value = if key.unset {
                format!("not set (`{}`)", key.value)
            } else {
                format!("`{}`", key.value)
            };
            let _ = writeln!(
                page,
                "| `{name}` | {value} | {} | {} |",
                generic(&key),
                key.meaning
            );
        }
    }
    page
}

#[test]
fn the_reference_says_what_holds() {
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        written == page,
        "docs/config.md is old: UPDATE_DOCS=1 cargo test -p guard-userspace reference"
    );
}

/// The keys a table may have, as the error about an unknown one lists them.
fn known(table: &str) -> BTreeSet<String> {
    let text = match table {
        "" => "zzz = 1\n".to_owned(),
        "notify" => "[[notify]]\nkind = \"slack\"\nzzz = 1\n".to_owned(),
        "http" => "[http]\nzzz = 1\n".to_owned(),
        "target" => "[[target]]\nzzz = 1\n".to_owned(),
        inner => format!("[[target]]\n[{inner}]\nzzz = 1\n"),
    };
    let error = read("c", text.as_bytes(), None).unwrap_err();
    let fix = &error.problems.first().unwrap().fix;
    fix.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_example_has_every_key() {
    let tables = tables();
    let headers: Vec<&str> = tables
        .iter()
        .map(|(header, ..)| header.trim_matches(['[', ']']))
        .collect();
    for ((_, _, keys), table) in tables.iter().zip(&headers) {
        let own = |path: &str| path.rsplit('.').next().unwrap().to_owned();
        let mut named: BTreeSet<String> = keys.iter().map(|key| own(&key.path)).collect();
        // Tables within it have headers of their own.
        let within =
            |header: &&&str| header.rsplit_once('.').map_or("", |(outer, _)| outer) == *table;
        named.extend(
            headers
                .iter()
                .filter(within)
                .map(|header| own(header))
                .filter(|h| !h.is_empty()),
        );
        assert_eq!(named, known(table), "[{table}]");
    }
}
