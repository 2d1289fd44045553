//! `cargo xtask doctor`: what building and testing needs, each lack with its fix; then the agent's
//! own `doctor` for what running needs.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::toolchain::Toolchain;
use crate::{agent, apt, step, workspace};

/// One thing looked at.
struct Check {
    what: &'static str,
    /// What was found; `None` where it lacks.
    found: Option<String>,
    /// What to do where it lacks.
    fix: &'static str,
    /// Nothing can be built without it; the others are for tests.
    needed: bool,
}

/// Prints all checks, then the agent's where it is built.
pub fn run() -> Result<ExitCode> {
    println!("To build and test:");
    let checks = checks();
    checks.iter().for_each(|check| println!("{}", shown(check)));
    let lacks = checks
        .iter()
        .any(|check| check.needed && check.found.is_none());
    let ours = if lacks { 1 } else { 0 };
    let agent = [agent::built("release"), agent::built("debug")];
    let Some(agent) = agent.iter().find(|path| path.is_file()) else {
        println!("\nTo run: build the agent first (`cargo xtask build`), then ask again.");
        return Ok(ExitCode::from(ours));
    };
    println!("\nTo run ({} doctor):", agent.display());
    let status = Command::new(agent).arg("doctor").status()?;
    let theirs = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Ok(ExitCode::from(ours.max(theirs)))
}

fn checks() -> Vec<Check> {
    let check = |what, found, fix| Check {
        what,
        found,
        fix,
        needed: false,
    };
    let program = |name: &str| apt::in_path(name).map(|path| path.display().to_string());
    let answers = |command: &mut Command| step::first_line(command);
    let mut checks = vec![
        check(
            "cargo",
            answers(workspace::cargo().arg("--version")),
            "install rustup, or `apt-get install cargo-web rustc-web`",
        ),
        check("C linker", program("cc"), "apt-get install gcc libc6-dev"),
        check(
            "BPF toolchain",
            Toolchain::present().map(|found| found.describe()),
            "as root on Debian: `cargo xtask build` installs it; else rustup's nightly with \
             rust-src and bpf-linker; else `--bpf-object FILE`",
        ),
    ];
    checks.iter_mut().for_each(|check| check.needed = true);
    checks.extend([
        check(
            "rustfmt",
            answers(workspace::cargo().args(["fmt", "--version"])),
            "`rustup component add rustfmt`, or `apt-get install rustfmt-web`",
        ),
        check(
            "clippy",
            answers(workspace::cargo().args(["clippy", "--version"])),
            "`rustup component add clippy`, or `apt-get install rust-web-clippy`",
        ),
        check("static libc", static_libc(), "apt-get install libc6-dev"),
        check(
            "QEMU",
            program("qemu-system-x86_64"),
            "apt-get install qemu-system-x86",
        ),
        check("dockerd", program("dockerd"), "apt-get install docker.io"),
        check("npm", program("npm"), "apt-get install npm"),
        check("jq", program("jq"), "apt-get install jq"),
    ]);
    checks
}

fn static_libc() -> Option<String> {
    ["/usr/lib/x86_64-linux-gnu/libc.a", "/usr/lib64/libc.a"]
        .iter()
        .find(|path| Path::new(path).is_file())
        .map(|path| (*path).to_owned())
}

/// In the words and columns of the agent's own doctor.
fn shown(check: &Check) -> String {
    let (verdict, said) = match &check.found {
        Some(found) => ("ok  ", found.as_str()),
        None if check.needed => ("LACK", "not here"),
        None => ("warn", "not here; tests alone need it"),
    };
    let fix = match check.found {
        Some(_) => String::new(),
        None => format!("\n{:23}fix: {}", "", check.fix),
    };
    format!("{verdict}  {:<15}  {said}{fix}", check.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lack_comes_with_its_fix() {
        let check = |found: Option<&str>, needed| {
            shown(&Check {
                what: "x",
                found: found.map(str::to_owned),
                fix: "do y",
                needed,
            })
        };
        assert_eq!(check(Some("1.0"), true), "ok    x                1.0");
        assert!(check(None, true).starts_with("LACK  x"));
        assert!(check(None, true).ends_with("fix: do y"));
        assert!(check(None, false).starts_with("warn  x"));
    }
}
