//! Help of every command, the exit code of every way to fail, and that each help ends with two
//! examples that parse.

use super::args::ConfigFile;
use super::*;
use clap::{CommandFactory, Parser};
use std::path::PathBuf;

/// Every command with its names, the program itself first.
fn commands() -> Vec<(String, clap::Command)> {
    fn walk(name: &str, command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
        all.push((name.to_owned(), command.clone()));
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            walk(&format!("{name} {}", sub.get_name()), sub, all);
        }
    }
    let mut program = Cli::command().term_width(100);
    program.build();
    let mut all = Vec::new();
    walk("metamcp-guard", &program, &mut all);
    all
}

#[test]
fn help_of_every_command() {
    let mut all = String::new();
    for (name, mut command) in commands() {
        all += &format!("===== {name} --help\n{}\n", command.render_long_help());
    }
    insta::assert_snapshot!(all);
}

#[test]
fn each_help_ends_with_two_examples_that_parse() {
    for (name, mut command) in commands() {
        let help = command.render_long_help().to_string();
        let (_, examples) = help
            .rsplit_once("Examples:\n")
            .unwrap_or_else(|| panic!("{name}"));
        let examples: Vec<&str> = examples.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(examples.len(), 2, "{name}: {examples:?}");
        for example in examples {
            // Without sudo, what the shell does, and the remark after two spaces.
            let line = example.trim().trim_start_matches("sudo ");
            let line = line
                .split(['|', '>'])
                .next()
                .unwrap()
                .split("  ")
                .next()
                .unwrap();
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
        }
    }
}

/// The code with which `line` ends; `None`: good.
fn code_of(line: &str) -> Option<Code> {
    let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
    dispatch(&cli).err().map(|failure| failure.code)
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    let dir = std::env::temp_dir().join(format!("guard-cli-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let wrong = dir.join("wrong.toml");
    std::fs::write(&wrong, "mod = \"observe\"\n").unwrap();
    let right = dir.join("right.toml");
    std::fs::write(&right, "mode = \"observe\"\n").unwrap();
    let (wrong, right, pages) = (wrong.display(), right.display(), dir.join("man"));

    let check = |line: String, code| assert_eq!(code_of(&line), code, "{line}");
    check(format!("metamcp-guard config check --config {right}"), None);
    check(
        format!("metamcp-guard config check --config {right} --json"),
        None,
    );
    check(
        format!("metamcp-guard config check --config {wrong}"),
        Some(Code::Usage),
    );
    check(
        format!("metamcp-guard config check --config {wrong} --json"),
        Some(Code::Usage),
    );
    check(
        format!("metamcp-guard config show --config {wrong}"),
        Some(Code::Usage),
    );
    check(
        "metamcp-guard config check --config /nowhere".to_owned(),
        Some(Code::Usage),
    );
    check(
        "metamcp-guard config check --config /dev/zero".to_owned(),
        Some(Code::Usage),
    );
    check(
        format!("metamcp-guard config check --config {}", dir.display()),
        Some(Code::Usage),
    );
    check(
        "metamcp-guard run --container ../a".to_owned(),
        Some(Code::Usage),
    );
    check(
        "metamcp-guard run --cgroup relative".to_owned(),
        Some(Code::Usage),
    );
    check(
        "metamcp-guard --socket /nowhere status".to_owned(),
        Some(Code::NotFound),
    );
    for command in [
        "retire",
        "kill --tree 4711",
        "kill web --dry-run --json",
        "freeze",
        "isolate web --rejoin",
        "restart --dry-run",
    ] {
        check(
            format!("metamcp-guard --socket /nowhere {command} --yes --config {wrong}"),
            Some(Code::Usage),
        );
    }
    check(format!("metamcp-guard man --dir {}", pages.display()), None);
    check(
        format!("metamcp-guard man --dir {right}/x"),
        Some(Code::Usage),
    );
    assert!(pages.join("metamcp-guard-config-check.1").exists());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_command_line_refuses_what_makes_no_sense() {
    for line in [
        "metamcp-guard",
        "metamcp-guard runn",
        "metamcp-guard run --demo --observe",
        "metamcp-guard run --log-format xml",
        "metamcp-guard config",
        "metamcp-guard kill --tree 0",
        "metamcp-guard retire --tree gateway",
        "metamcp-guard retire one two",
        "metamcp-guard thaw --rejoin",
        "metamcp-guard restart --tree 4711",
    ] {
        let parsed = Cli::try_parse_from(line.split_whitespace());
        assert_eq!(
            parsed.unwrap_err().exit_code(),
            i32::from(Code::Usage as u8),
            "{line}"
        );
    }
}

/// The example file is what an operator starts from.
#[test]
fn the_example_file_is_right() {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/config.toml"
    ));
    let loaded = load::load(&ConfigFile { path: Some(path) }).unwrap();
    assert!(loaded.checked.warnings.is_empty());
}
