//! Which package a runner runs, and the telling part of a path: names without version, path and id.

use super::program::base;

/// npx options that have their value in the next word.
const NPM_VALUES: [&str; 8] = [
    "--registry",
    "--cache",
    "--prefix",
    "--userconfig",
    "-w",
    "--workspace",
    "--loglevel",
    "--tag",
];
/// uvx options that have their value in the next word.
const UV_VALUES: [&str; 17] = [
    "--with",
    "--with-editable",
    "--with-requirements",
    "-p",
    "--python",
    "-i",
    "--index-url",
    "--index",
    "--default-index",
    "--extra-index-url",
    "--directory",
    "--project",
    "--cache-dir",
    "--config-file",
    "--env-file",
    "--extra",
    "--group",
];

/// Parts of paths that name no server.
const GENERIC: [&str; 30] = [
    "",
    ".",
    "..",
    "index",
    "main",
    "__main__",
    "server",
    "cli",
    "app",
    "src",
    "dist",
    "build",
    "lib",
    "bin",
    "out",
    "start",
    "run",
    "entry",
    "entrypoint",
    "node_modules",
    "site-packages",
    "usr",
    "local",
    "opt",
    "srv",
    "home",
    "root",
    "tmp",
    "var",
    "workspace",
];

/// Endings of scripts.
const ENDINGS: [&str; 12] = [
    ".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".py", ".rb", ".pl", ".php", ".jar", ".sh",
];

/// What a runner runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran<'a> {
    /// A package of npm's, and what is after it.
    Package {
        /// Its name.
        name: &'a str,
        /// Its arguments.
        rest: &'a [&'a str],
    },
    /// A Python package.
    Tool(&'a str),
    /// A Python script, or the folder of one.
    Script(&'a str),
    /// A shell's command line.
    Command(&'a str),
    /// Another program.
    Words(&'a [&'a str]),
    /// It is not said.
    Nothing,
}

/// What npx runs with these arguments.
#[must_use]
pub fn npm<'a>(arguments: &'a [&'a str]) -> Ran<'a> {
    let mut rest = arguments;
    while let Some((&word, after)) = rest.split_first() {
        rest = after;
        let value = after.first().copied();
        if let Some(package) = word.strip_prefix("--package=") {
            return Ran::Package {
                name: bare(package),
                rest: &[],
            };
        }
        match (word, value) {
            ("-p" | "--package", Some(package)) => {
                return Ran::Package {
                    name: bare(package),
                    rest: &[],
                };
            }
            ("-c" | "--call", Some(line)) => return Ran::Command(line),
            _ if NPM_VALUES.contains(&word) => rest = after.get(1..).unwrap_or_default(),
            _ if word.starts_with('-') => {}
            _ => {
                return Ran::Package {
                    name: bare(word),
                    rest,
                };
            }
        }
    }
    Ran::Nothing
}

/// What uvx runs with these arguments.
#[must_use]
pub fn tool<'a>(arguments: &'a [&'a str]) -> Ran<'a> {
    let mut rest = arguments;
    while let Some((&word, after)) = rest.split_first() {
        rest = after;
        if let Some(package) = word.strip_prefix("--from=") {
            return Ran::Tool(requirement(package));
        }
        match (word, after.first().copied()) {
            ("--from" | "--spec", Some(package)) => return Ran::Tool(requirement(package)),
            _ if UV_VALUES.contains(&word) => rest = after.get(1..).unwrap_or_default(),
            _ if word.starts_with('-') => {}
            _ => return Ran::Tool(requirement(word)),
        }
    }
    Ran::Nothing
}

/// What uv runs with these arguments: a tool, a script, an interpreter, or an installed command.
#[must_use]
pub fn uv<'a>(arguments: &'a [&'a str]) -> Ran<'a> {
    let mut rest = arguments;
    let (mut runs, mut folder) = (false, "");
    while let Some((&word, after)) = rest.split_first() {
        let value = after.first().copied().unwrap_or_default();
        if matches!(word, "--directory" | "--project") {
            folder = value;
        }
        rest = match word {
            _ if UV_VALUES.contains(&word) => after.get(1..).unwrap_or_default(),
            _ if word.starts_with('-') => after,
            _ if !runs => match (word, value) {
                ("tool", "run") => return tool(after.get(1..).unwrap_or_default()),
                ("run", _) => {
                    runs = true;
                    after
                }
                _ => return Ran::Nothing,
            },
            _ if word.ends_with(".py") && !folder.is_empty() && is_generic(word) => {
                return Ran::Script(folder);
            }
            _ if word.ends_with(".py") => return Ran::Script(word),
            _ if word.contains('/') || word.starts_with("python") => return Ran::Words(rest),
            _ => return Ran::Tool(requirement(word)),
        };
    }
    Ran::Nothing
}

/// Whether no part of a script's path tells what it is.
fn is_generic(path: &str) -> bool {
    GENERIC.contains(&script(path))
}

/// A package of npm's without its version; of an address or a path, its last telling part.
fn bare(package: &str) -> &str {
    let package = package.strip_prefix("npm:").unwrap_or(package);
    if let Some(name) = of_address(package) {
        return name;
    }
    if package.starts_with(['.', '/', '~']) || package.starts_with("file:") {
        return script(package);
    }
    // The @ of a scope is the first character.
    match package.rfind('@') {
        Some(at) if at > 0 => package.get(..at).unwrap_or(package),
        _ => package,
    }
}

/// A Python requirement's name.
fn requirement(text: &str) -> &str {
    if let Some(name) = of_address(text) {
        return name;
    }
    if text.starts_with(['.', '/']) {
        return script(text);
    }
    text.split(['=', '<', '>', '!', '~', '[', '@', ';', ' '])
        .next()
        .unwrap_or(text)
}

/// The name in an address: of a repository or an archive.
fn of_address(text: &str) -> Option<&str> {
    let is_address =
        text.contains("://") || text.starts_with("github:") || text.starts_with("git+");
    if !is_address {
        return None;
    }
    let path = text.split(['#', '?']).next().unwrap_or(text);
    let name = base(path);
    // A revision is after the @ of the last part; a user is in another part.
    let name = name.split('@').next().unwrap_or(name);
    let name = [".git", ".tgz", ".tar.gz", ".whl"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    Some(without_ids(name))
}

/// The package that a path lies in or is installed by, as npm lays them out.
#[must_use]
pub fn installed(path: &str) -> Option<&str> {
    let (_, inside) = path.rsplit_once("node_modules/")?;
    if let Some(name) = inside.strip_prefix(".bin/") {
        return Some(name);
    }
    let parts = if inside.starts_with('@') { 2 } else { 1 };
    let end = inside.match_indices('/').nth(parts - 1).map(|(at, _)| at);
    end.and_then(|end| inside.get(..end))
}

/// The telling part of a script's path: its name, or where that is `index` and the like the nearest
/// folder's.
#[must_use]
pub fn script(path: &str) -> &str {
    let path = ENDINGS
        .iter()
        .find_map(|ending| path.strip_suffix(ending))
        .unwrap_or(path);
    let telling = |part: &&str| !GENERIC.contains(part);
    let mut parts = path.rsplit('/').map(without_ids);
    parts
        .find(telling)
        .unwrap_or_else(|| without_ids(base(path)))
}

/// A name without versions, hashes and numbers at its end; nothing is left of one that is no more
/// than that.
#[must_use]
pub fn without_ids(name: &str) -> &str {
    let mut name = name;
    loop {
        let uuid = name
            .len()
            .checked_sub(UUID)
            .and_then(|at| Some((at, name.get(at..)?)));
        if let Some((at, id)) = uuid
            && is_uuid(id)
        {
            name = name
                .get(..at)
                .unwrap_or_default()
                .trim_end_matches(['-', '_', '.']);
            continue;
        }
        match name.rsplit_once(['-', '_', '.', '@']) {
            Some((before, last)) if is_id(last) => name = before,
            None if is_id(name) => return "",
            _ if !name.starts_with("python") => return name,
            _ => return name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'),
        }
    }
}

const UUID: usize = 36;

fn is_uuid(text: &str) -> bool {
    let mut groups = text.split('-');
    [8, 4, 4, 4, 12].iter().all(|&length| {
        groups
            .next()
            .is_some_and(|group| group.len() == length && is_hex(group))
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A number, a version (`v2`), or a hash.
fn is_id(text: &str) -> bool {
    let number = text.strip_prefix('v').unwrap_or(text);
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    is_number || text.len() >= 8 && has_digit && is_hex(text)
}
