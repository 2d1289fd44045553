//! `cargo xtask tidy`: the rules that no compiler holds, read from the tokens of every file, so
//! that comments cannot trip them and macros cannot hide from them.

mod rooms;
mod scan;
mod shape;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::test::Tally;
use crate::{step, workspace};

/// The folders of the workspace that hold Rust.
const CRATES: [&str; 5] = [
    "guard-common",
    "guard-ebpf",
    "guard-userspace",
    "xtask",
    "tests",
];

/// One source file.
pub struct File {
    /// From the workspace's top, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// As the compiler reads it.
    pub tokens: proc_macro2::TokenStream,
}

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// From 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong and what to do.
    pub what: String,
}

impl Finding {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self {
            line,
            what: what.into(),
        }
    }
}

/// A rule: its name, and what it finds in one file.
type Rule = (&'static str, fn(&File) -> Vec<Finding>);

const RULES: [Rule; 7] = [
    ("rooms use only the rooms below them", rooms::layering),
    ("pure rooms stay pure", rooms::purity),
    ("unsafe only in the files named for it", rooms::unsafety),
    ("files of at most 400 lines", shape::size),
    ("a `//!` line first", shape::first_line),
    ("no super::super", shape::super_super),
    ("no `pub use crate::`", shape::re_export),
];

/// Checks the whole workspace and prints findings and sizes; each rule counts as one test.
pub fn run() -> Result<Tally> {
    let files = files()?;
    let mut tally = Tally::default();
    for (name, findings) in findings(&files) {
        if findings.is_empty() {
            tally.pass();
            continue;
        }
        findings.iter().for_each(|finding| step::say(finding));
        tally.fail(format!("{name}: {} findings", findings.len()));
    }
    step::say(&shape::sizes(&files));
    Ok(tally)
}

/// What each rule finds, as `path:line: what`.
fn findings(files: &[File]) -> Vec<(&'static str, Vec<String>)> {
    let shown =
        |file: &File, finding: Finding| format!("{}:{}: {}", file.path, finding.line, finding.what);
    RULES
        .iter()
        .map(|(name, rule)| {
            let found = files
                .iter()
                .flat_map(|file| rule(file).into_iter().map(move |one| shown(file, one)));
            (*name, found.collect())
        })
        .collect()
}

fn files() -> Result<Vec<File>> {
    let mut paths = Vec::new();
    for name in CRATES {
        collect(&workspace::root().join(name), &mut paths)?;
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<File> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let path = path
        .strip_prefix(workspace::root())
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    File::parse(&path, &text)
}

impl File {
    fn parse(path: &str, text: &str) -> Result<Self> {
        let tokens = text
            .parse()
            .map_err(|error| anyhow::anyhow!("{path} is not Rust: {error}"))?;
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let found: Vec<String> = findings(&files().unwrap())
            .into_iter()
            .flat_map(|(_, found)| found)
            .collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
