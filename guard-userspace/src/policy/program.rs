//! Which program an exec runs: the script where an interpreter is named, and what is after it.
//!
//! A script's exec shows its interpreter first: `/usr/bin/env node /usr/bin/npx -y x`, then
//! `node /usr/bin/npx -y x`. Both are npx.

use super::glob;

/// Interpreters within interpreters that are looked through.
const DEPTH: usize = 8;

/// Options of `env` that have their value in the next word.
const ENV_VALUES: [&str; 4] = ["-u", "--unset", "-C", "--chdir"];
/// Options of node that have their value in the next word.
const NODE_VALUES: [&str; 9] = [
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-C",
    "--conditions",
    "--env-file",
    "--title",
];
/// Options after which node runs no script.
const NODE_INLINE: [&str; 5] = ["-e", "--eval", "-p", "--print", "-pe"];
/// Options of Python that have their value in the next word.
const PYTHON_VALUES: [&str; 3] = ["-W", "-X", "--check-hash-based-pycs"];

/// What runs a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// Node.js.
    Node,
    /// Python.
    Python,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program<'a> {
    /// Its path, as it was named.
    pub path: &'a str,
    /// Its name: the path's last part, less `-cli` and `.js`.
    pub name: &'a str,
    /// What runs it, where it is a script.
    pub interpreter: Option<Interpreter>,
    /// Its arguments, without those of the interpreter.
    pub arguments: Vec<&'a str>,
}

impl<'a> Program<'a> {
    /// The program of these arguments; `None` where there are none.
    #[must_use]
    pub fn of<S: AsRef<str>>(argv: &'a [S]) -> Option<Self> {
        let mut words: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
        // A process that has written over its arguments, as npm does, has one, with spaces.
        if let [title] = words.as_slice()
            && title.contains(' ')
        {
            words = title.split_whitespace().collect();
        }
        Self::of_words(words)
    }

    fn of_words(mut words: Vec<&'a str>) -> Option<Self> {
        for _ in 0..DEPTH {
            let (&path, rest) = words.split_first()?;
            let next = match base(path) {
                "env" => after_env(rest),
                "node" | "nodejs" => {
                    return Some(script(Interpreter::Node, path, rest, node_script(rest)));
                }
                name if is_python(name) => {
                    return Some(script(Interpreter::Python, path, rest, python_script(rest)));
                }
                _ => None,
            };
            match next.filter(|next| !next.is_empty()) {
                Some(next) => words = next,
                None => return Some(Self::plain(path, rest.to_vec())),
            }
        }
        None
    }

    /// The first word as it is, also where it is an interpreter.
    #[must_use]
    pub fn as_named(words: &[&'a str]) -> Option<Self> {
        let (&path, arguments) = words.split_first()?;
        Some(Self::plain(path, arguments.to_vec()))
    }

    fn plain(path: &'a str, arguments: Vec<&'a str>) -> Self {
        Self {
            path,
            name: short(path),
            interpreter: None,
            arguments,
        }
    }

    /// Whether one of the globs of the configuration (`npx`, `s6-*`, `npm exec`) means it.
    #[must_use]
    pub fn is_one_of(&self, globs: &[String]) -> bool {
        globs.iter().any(|glob| self.is(glob))
    }

    fn is(&self, words: &str) -> bool {
        let mut words = words.split_whitespace();
        let Some(program) = words.next() else {
            return false;
        };
        // Who writes `start.js` means it too.
        if !glob::is_match(program, self.name) && !glob::is_match(program, base(self.path)) {
            return false;
        }
        match (words.next(), self.arguments.first()) {
            (None, _) => true,
            (Some(word), Some(first)) => glob::is_match(word, first),
            (Some(_), None) => false,
        }
    }
}

/// A path's last part; a login shell's dash is not of its name.
pub(super) fn base(path: &str) -> &str {
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path);
    name.strip_prefix('-').unwrap_or(name)
}

/// The name of a program at `path`: without `.js` and its likes, then without `-cli`.
fn short(path: &str) -> &str {
    let name = base(path);
    let scripts = [".js", ".cjs", ".mjs"];
    let name = scripts
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    name.strip_suffix("-cli").unwrap_or(name)
}

/// python, python3, python3.11.
fn is_python(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|version| {
        version
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

/// The script that was found among `rest`, or the interpreter itself.
fn script<'a>(
    interpreter: Interpreter,
    path: &'a str,
    rest: &[&'a str],
    found: Option<(&'a str, Vec<&'a str>)>,
) -> Program<'a> {
    match found {
        Some((script, arguments)) => Program {
            interpreter: Some(interpreter),
            ..Program::plain(script, arguments)
        },
        None => Program::plain(path, rest.to_vec()),
    }
}

/// What `env` executes: after its options and variables.
fn after_env<'a>(rest: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut words = rest.iter();
    while let Some(&word) = words.next() {
        if let Some(line) = word
            .strip_prefix("-S")
            .or(word.strip_prefix("--split-string="))
        {
            // A `#!` line gives all after env as one word.
            return Some(line.split_whitespace().chain(words.copied()).collect());
        }
        if ENV_VALUES.contains(&word) {
            words.next();
        } else if !word.starts_with('-') && !word.contains('=') {
            return Some(core::iter::once(word).chain(words.copied()).collect());
        }
    }
    None
}

fn node_script<'a>(rest: &[&'a str]) -> Option<(&'a str, Vec<&'a str>)> {
    let mut words = rest.iter();
    while let Some(&word) = words.next() {
        if NODE_INLINE.contains(&word) || word.starts_with("--eval=") {
            return None;
        }
        if word == "--" {
            return words
                .next()
                .map(|&script| (script, words.copied().collect()));
        }
        if NODE_VALUES.contains(&word) {
            words.next();
        } else if !word.starts_with('-') {
            return Some((word, words.copied().collect()));
        }
    }
    None
}

/// The script, or the module after `-m`.
fn python_script<'a>(rest: &[&'a str]) -> Option<(&'a str, Vec<&'a str>)> {
    let mut words = rest.iter();
    while let Some(&word) = words.next() {
        if word == "-c" {
            return None;
        }
        if word == "-m" || word == "--" {
            return words
                .next()
                .map(|&module| (module, words.copied().collect()));
        }
        if PYTHON_VALUES.contains(&word) {
            words.next();
        } else if !word.starts_with('-') {
            return Some((word, words.copied().collect()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_program_is_the_script_of_an_interpreter() {
        let check = |argv: &str, name: &str, first: &str| {
            let argv: Vec<&str> = argv.split('|').collect();
            let program = Program::of(&argv).unwrap();
            assert_eq!(program.name, name, "{argv:?}");
            assert_eq!(
                program.arguments.first().copied().unwrap_or(""),
                first,
                "{argv:?}"
            );
        };
        check("/usr/bin/npm|start", "npm", "start");
        check("node|/usr/bin/npm|start", "npm", "start");
        check(
            "/usr/bin/env|node|/usr/lib/node_modules/npm/bin/npx-cli.js|-y|x",
            "npx",
            "-y",
        );
        check(
            "/usr/bin/env|-S node --no-warnings|/x/server.mjs|a",
            "server",
            "a",
        );
        check(
            "/usr/bin/env|-S|node|--no-warnings|/x/server.mjs|a",
            "server",
            "a",
        );
        check("env|-i|-u|HOME|A=b|sh|-c|x", "sh", "-c");
        check("env", "env", "");
        check(
            "node|--max-old-space-size=512|-r|dotenv/config|dist/index.js|--port|1",
            "index",
            "--port",
        );
        check("node|--|x.js", "x", "");
        check("node|-e|require('x')", "node", "-e");
        check("node", "node", "");
        check("nodejs|app.cjs", "app", "");
        check("sh|entrypoint.sh", "sh", "entrypoint.sh");
        check("/bin/sh|-c|node /x.js", "sh", "-c");
        check("-bash", "bash", "");
        check(
            "/usr/bin/python3|-u|/usr/bin/supervisord|-n",
            "supervisord",
            "-n",
        );
        check(
            "python3.11|-m|mcp_server_git|--repository|/x",
            "mcp_server_git",
            "--repository",
        );
        check("python|-W|ignore|x.py", "x.py", "");
        check("python|-c|pass", "python", "-c");
        check("pythonic|x", "pythonic", "x");
        // npm has written over its arguments.
        check(
            "npm exec @modelcontextprotocol/server-memory",
            "npm",
            "exec",
        );
        check("/opt/mcp-cli", "mcp", "");
    }

    #[test]
    fn no_arguments_are_no_program() {
        assert_eq!(Program::of::<&str>(&[]), None);
        let deep = ["env"; 20];
        assert_eq!(Program::of(&deep), None);
    }

    #[test]
    fn globs_mean_the_name_and_the_first_argument() {
        let check = |glob: &str, argv: &str, expected: bool| {
            let argv: Vec<&str> = argv.split(' ').collect();
            let globs = [glob.to_owned()];
            let program = Program::of(&argv).unwrap();
            assert_eq!(program.is_one_of(&globs), expected, "{glob} of {argv:?}");
        };
        check("npm exec", "npm exec x", true);
        check("npm exec", "node /usr/bin/npm exec x", true);
        check("npm exec", "npm start", false);
        check("npm exec", "npm", false);
        check("npm", "npm exec x", true);
        check("start.js", "node /app/start.js", true);
        check("start", "node /app/start.js", true);
        check("python*", "python3 -c x", true);
        check("node", "node server.js", false);
        check("", "node server.js", false);
    }

    proptest! {
        #[test]
        fn any_arguments_do(argv in prop::collection::vec("[-a-z/= .]{0,12}|env|node|python3|-S|--", 0..8)) {
            let program = Program::of(&argv);
            prop_assert!(!argv.is_empty() || program.is_none());
        }
    }
}
