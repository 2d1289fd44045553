//! Licences, bans and sources of what we depend on, by `deny.toml`.
//!
//! The check is our own, of what `cargo metadata` says: building cargo-deny took 4 minutes on
//! 2 CPUs, a tenth of a whole test run, for three questions that take a second. Where cargo-deny
//! is installed it is asked too, since it also reads licence files.

mod spdx;

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{step, workspace};

/// What `deny.toml` says, as far as we read it.
#[derive(Debug, Default)]
struct Policy {
    allowed: Vec<String>,
    banned: Vec<String>,
}

/// Fails with one line per package that may not be here.
pub fn check() -> Result<()> {
    let file = workspace::root().join("deny.toml");
    let text = std::fs::read_to_string(&file).context("cannot read deny.toml")?;
    let policy = policy(&text)?;
    let mut metadata = workspace::cargo();
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_str(&step::output(&mut metadata)?)?;
    let findings = findings(&metadata, &policy);
    if !findings.is_empty() {
        bail!("against deny.toml:\n{}", findings.join("\n"));
    }
    let mut deny = Command::new("cargo-deny");
    if step::succeeds(deny.arg("--version")) {
        let mut deny = workspace::cargo();
        deny.args(["deny", "--offline", "--log-level", "error"]);
        step::run(deny.args(["check", "licenses", "bans", "sources"]))?;
    }
    Ok(())
}

fn policy(text: &str) -> Result<Policy> {
    let value: toml::Table = text.parse().context("deny.toml")?;
    let list = |table: &str, key: &str| {
        value
            .get(table)
            .and_then(|table| table.get(key))
            .and_then(|list| list.as_array())
            .cloned()
    };
    let allowed = list("licenses", "allow").context("deny.toml has no licenses.allow")?;
    let banned = list("bans", "deny").context("deny.toml has no bans.deny")?;
    Ok(Policy {
        allowed: allowed
            .iter()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect(),
        banned: banned
            .iter()
            .filter_map(|ban| Some(ban.get("name")?.as_str()?.to_owned()))
            .collect(),
    })
}

fn findings(metadata: &Value, policy: &Policy) -> Vec<String> {
    let packages = metadata.get("packages").and_then(Value::as_array);
    packages
        .into_iter()
        .flatten()
        .filter_map(|package| finding(package, policy))
        .collect()
}

fn finding(package: &Value, policy: &Policy) -> Option<String> {
    let text = |key: &str| package.get(key).and_then(Value::as_str);
    let name = text("name").unwrap_or("?");
    if policy.banned.iter().any(|banned| banned == name) {
        return Some(format!("{name} is banned: deny.toml says why"));
    }
    // Our own packages have no source.
    if text("source").is_some_and(|source| !source.starts_with("registry+")) {
        return Some(format!("{name} comes from outside the registry"));
    }
    let Some(licence) = text("license") else {
        return Some(format!("{name} names no licence"));
    };
    match spdx::satisfied(licence, &|one| {
        policy.allowed.iter().any(|allowed| allowed == one)
    }) {
        Some(true) => None,
        Some(false) => Some(format!("{name}: licence {licence} is not allowed")),
        None => Some(format!("{name}: cannot read its licence {licence}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn licences_bans_and_sources_are_found() {
        let policy =
            policy("[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ name = \"evil\" }]").unwrap();
        let registry = "registry+https://index.example";
        let metadata = json!({"packages": [
            {"name": "ours", "license": "MIT OR GPL-2.0-only", "source": null},
            {"name": "good", "license": "MIT/Apache-2.0", "source": registry},
            {"name": "copyleft", "license": "GPL-3.0-only", "source": registry},
            {"name": "evil", "license": "MIT", "source": registry},
            {"name": "fork", "license": "MIT", "source": "git+https://x.example/fork"},
            {"name": "mute", "license": null, "source": registry},
        ]});
        let found = findings(&metadata, &policy).join("\n");
        for name in ["copyleft", "evil", "fork", "mute"] {
            assert!(found.contains(name), "{name} not in {found}");
        }
        assert_eq!(found.lines().count(), 4, "{found}");
    }

    #[test]
    fn a_file_without_the_lists_is_refused() {
        assert!(policy("[licenses]\nallow = []").is_err());
        assert!(policy("not toml").is_err());
    }
}
