//! What a shell is asked to start: enough of its grammar to see which programs a command line names.
//!
//! Quotes, substitutions and redirections are not taken apart: of a program's name they are no
//! part, and what is not understood is no program.

use super::program::base;

/// Shells that take a command line after `-c`.
const SHELLS: [&str; 5] = ["sh", "dash", "bash", "ash", "zsh"];

/// The commands that a shell (`-c`), `env` or `setsid` starts, in order.
#[must_use]
pub fn started<'a>(words: &[&'a str]) -> Vec<Vec<&'a str>> {
    let Some((&path, rest)) = words.split_first() else {
        return Vec::new();
    };
    match base(path) {
        "setsid" | "env" => {
            let is_option = |word: &&&str| word.starts_with('-') || word.contains('=');
            vec![rest.iter().skip_while(is_option).copied().collect()]
        }
        name if SHELLS.contains(&name) => {
            let option = rest.iter().position(|word| takes_command(word));
            let line = option.and_then(|at| rest.get(at + 1));
            line.map(|line| commands(line)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// `-c`, also behind other letters: `-lc`.
fn takes_command(word: &str) -> bool {
    word.strip_prefix('-')
        .is_some_and(|letters| !letters.starts_with('-') && letters.ends_with('c'))
}

/// The simple commands of a line, without variables and `exec` before them.
fn commands(line: &str) -> Vec<Vec<&str>> {
    let mut commands = vec![Vec::new()];
    for word in line.split_whitespace() {
        let ends = matches!(word, "&&" | "||" | "|" | ";" | "&") || word.ends_with(';');
        let bare = word.trim_matches(['"', '\'', ';', '&', '|']);
        if let Some(command) = commands.last_mut()
            && !bare.is_empty()
            && !(command.is_empty() && (bare == "exec" || is_assignment(bare)))
        {
            command.push(bare);
        }
        if ends {
            commands.push(Vec::new());
        }
    }
    commands.retain(|command| !command.is_empty());
    commands
}

fn is_assignment(word: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    word.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(of_name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_commands_of_a_line() {
        let check = |argv: &[&str], expected: &[&str]| {
            let found: Vec<String> = started(argv).iter().map(|words| words.join(" ")).collect();
            assert_eq!(found, expected, "{argv:?}");
        };
        check(&["sh", "-c", "npx -y x"], &["npx -y x"]);
        check(&["/bin/bash", "-lc", "A=1 exec uvx x"], &["uvx x"]);
        check(&["sh", "-e", "-c", "cd /x && npx y"], &["cd /x", "npx y"]);
        check(&["sh", "-c", "a; b | c & d"], &["a", "b", "c", "d"]);
        check(&["sh", "-c", "\"npx\" '-y' x"], &["npx -y x"]);
        check(&["sh", "-c", "  "], &[]);
        check(&["sh", "-c"], &[]);
        check(&["sh", "entry.sh", "-x"], &[]);
        check(&["setsid", "--wait", "node", "x.js"], &["node x.js"]);
        check(&["env", "A=b", "node"], &["node"]);
        check(&["npx", "-c", "x"], &[]);
        check(&[], &[]);
    }

    proptest! {
        #[test]
        fn any_line_does(line in "[-a-z;&|=' ]{0,40}") {
            for command in started(&["sh", "-c", &line]) {
                prop_assert!(!command.is_empty());
            }
        }
    }
}
