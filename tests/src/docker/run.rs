//! Running other programs, never for ever.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What the suite runs, with the Debian package that has it.
const PROGRAMS: [(&str, &str); 11] = [
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("npm", "npm"),
    ("tar", "tar"),
    ("s6-svscan", "s6"),
    ("s6-supervise", "s6"),
    ("java", "default-jre-headless"),
    ("docker-compose", "docker-compose"),
    ("ldd", "libc-bin"),
];

/// The programs that are not in PATH, each with its package.
#[must_use]
pub fn missing() -> Vec<String> {
    let absent = |(program, _): &&(&str, &str)| which(program).is_none();
    let named = |(program, package): &(&str, &str)| format!("{program} (package {package})");
    PROGRAMS.iter().filter(absent).map(named).collect()
}

/// Where PATH has a program.
#[must_use]
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// A command that is killed after so many seconds.
#[must_use]
pub fn command(seconds: u32, program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "-s", "KILL", &seconds.to_string(), program]);
    command
}

/// Runs a command to its end; gives its standard output.
///
/// # Errors
/// It could not start, took too long or failed: the error has what it said.
pub fn output(command: &mut Command) -> Result<String> {
    Ok(ran(command)?.0)
}

/// As [`output`], with what it wrote to standard error behind it.
///
/// # Errors
/// As [`output`].
pub fn all_output(command: &mut Command) -> Result<String> {
    let (out, errors) = ran(command)?;
    Ok(format!("{out}\n{errors}"))
}

fn ran(command: &mut Command) -> Result<(String, String)> {
    let words: Vec<_> = command
        .get_args()
        .skip(5)
        .map(OsStr::to_string_lossy)
        .collect();
    let words = words.join(" ");
    let output = command
        .output()
        .with_context(|| format!("cannot run {words}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    ensure!(
        output.status.success(),
        "{words}: {}: {out}{errors}",
        output.status,
    );
    Ok((out, errors))
}
