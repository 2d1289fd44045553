//! Families: trees whose command line is the same once normalised.
//!
//! A family is named by program and package: `npm exec x`, `npx -y x@1.2`, `node …/.bin/x` and
//! `sh -c "npx x"` are all `npx x`, and so with uvx. Versions, paths, ports and ids are left out, so
//! two servers that differ in these alone are one family.

use super::glob;
use super::package;
use super::program::{Interpreter, Program, base};
use super::shell;
use std::collections::BTreeMap;

/// Families that are told apart; the rest share one.
pub const MAX_FAMILIES: usize = 64;

/// The name of what the rest share.
pub const OTHERS: &str = "others";

/// Longest name, in bytes.
const LONGEST: usize = 80;

/// Shells and runners within each other that are looked through.
const DEPTH: usize = 4;

/// Runners of npm packages, with the subcommand that runs one.
const NPM: [(&str, &str); 9] = [
    ("npx", ""),
    ("pnpx", ""),
    ("bunx", ""),
    ("npm", "exec"),
    ("npm", "x"),
    ("pnpm", "dlx"),
    ("pnpm", "exec"),
    ("yarn", "dlx"),
    ("bun", "x"),
];

/// Programs that are named by the script they run.
const RUNNERS: [&str; 9] = [
    "tsx", "ts-node", "bun", "deno", "ruby", "perl", "php", "java", "sh",
];

/// The family of the tree whose root executes this; `None` where there are no arguments.
#[must_use]
pub fn of<S: AsRef<str>>(argv: &[S]) -> Option<String> {
    let words: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
    let (program, what) = name(&words, DEPTH)?;
    let mut family = package::without_ids(&program).to_owned();
    if !what.is_empty() {
        family.push(' ');
        family.push_str(&what);
    }
    let printable = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    Some(family.chars().map(printable).take(LONGEST).collect())
}

/// Program and what it runs.
fn name(words: &[&str], depth: usize) -> Option<(String, String)> {
    if depth > 0
        && let Some(inner) = shell::started(words).last()
        && !inner.is_empty()
    {
        return name(inner, depth - 1);
    }
    let program = Program::of(words)?;
    let arguments = program.arguments.as_slice();
    let named = |program: &str, what: &str| Some((program.to_owned(), what.to_owned()));
    if let Some(found) = runs_package(&program) {
        return match found {
            package::Ran::Package { name: what, rest } if depth > 0 && RUNNERS.contains(&what) => {
                let inner: Vec<&str> = core::iter::once(what).chain(rest.iter().copied()).collect();
                name(&inner, depth - 1)
            }
            package::Ran::Package { name: what, .. } => named("npx", what),
            package::Ran::Tool(what) => named("uvx", what),
            package::Ran::Script(path) => named("python", package::script(path)),
            package::Ran::Command(line) if depth > 0 => name(&["sh", "-c", line], depth - 1),
            package::Ran::Words(inner) if depth > 0 => name(inner, depth - 1),
            package::Ran::Command(_) | package::Ran::Words(_) | package::Ran::Nothing => {
                named(program.name, "")
            }
        };
    }
    if let Some(installed) = package::installed(program.path) {
        return named("npx", installed);
    }
    match program.interpreter {
        Some(Interpreter::Node) => named("node", package::script(program.path)),
        // An entry point that a package has installed, as uvx runs it.
        Some(Interpreter::Python) if program.path.contains("/bin/") => {
            named("uvx", base(program.path))
        }
        Some(Interpreter::Python) => named("python", package::script(program.path)),
        None if RUNNERS.contains(&program.name) => {
            let is_script = |word: &&&str| !word.starts_with('-') && **word != "run";
            let script = arguments
                .iter()
                .find(is_script)
                .copied()
                .unwrap_or_default();
            named(program.name, package::script(script))
        }
        None => named(program.name, ""),
    }
}

/// What a runner of packages runs; `None` for any other program.
fn runs_package<'a>(program: &'a Program<'a>) -> Option<package::Ran<'a>> {
    let arguments = program.arguments.as_slice();
    for (runner, subcommand) in NPM {
        if program.name != runner {
            continue;
        }
        match arguments.split_first() {
            _ if subcommand.is_empty() => return Some(package::npm(arguments)),
            Some((first, rest)) if *first == subcommand => return Some(package::npm(rest)),
            _ => {}
        }
    }
    match (program.name, arguments) {
        ("uvx", rest) | ("pipx", ["run", rest @ ..]) => Some(package::tool(rest)),
        ("uv", rest) => Some(package::uv(rest)),
        _ => None,
    }
}

/// Which pattern of `max_instances` means this family, and how many trees it may have: the least
/// of those that do. A pattern without `*` or `?` may be any part of the name.
#[must_use]
pub fn most_instances(patterns: &BTreeMap<String, u64>, family: &str) -> Option<u64> {
    let means = |pattern: &str| {
        if pattern.contains(['*', '?']) {
            glob::is_match(pattern, family)
        } else {
            family.contains(pattern)
        }
    };
    patterns
        .iter()
        .filter(|(pattern, _)| means(pattern))
        .map(|(_, most)| *most)
        .min()
}

/// A family's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FamilyId(u8);

/// The families of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Families {
    names: Vec<Option<String>>,
}

impl Families {
    /// The number of this family, which it keeps until it is forgotten; past [`MAX_FAMILIES`] that
    /// of the rest.
    pub fn id(&mut self, family: &str) -> FamilyId {
        let known = |name: &Option<String>| name.as_deref() == Some(family);
        if let Some(at) = self.names.iter().position(known) {
            return number(at);
        }
        let free = self.names.iter_mut().position(|name| name.is_none());
        match free {
            Some(at) => {
                if let Some(name) = self.names.get_mut(at) {
                    *name = Some(family.to_owned());
                }
                number(at)
            }
            None if self.names.len() < MAX_FAMILIES => {
                self.names.push(Some(family.to_owned()));
                number(self.names.len() - 1)
            }
            None => number(MAX_FAMILIES),
        }
    }

    /// A family's name.
    #[must_use]
    pub fn name(&self, id: FamilyId) -> &str {
        let name = self.names.get(usize::from(id.0));
        name.and_then(Option::as_deref).unwrap_or(OTHERS)
    }

    /// Forgets families that are not `used`, so that others can be told apart.
    pub fn keep(&mut self, used: impl Fn(FamilyId) -> bool) {
        for (at, name) in self.names.iter_mut().enumerate() {
            if !used(number(at)) {
                *name = None;
            }
        }
    }
}

fn number(at: usize) -> FamilyId {
    FamilyId(u8::try_from(at.min(MAX_FAMILIES)).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests;
