//! Commands that need no agent.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use guard_tests::agent::{Folder, command, output};
use guard_tests::check::same;
use guard_tests::place;
use serde_json::Value;

const GOOD: &str = "\
mode = \"observe\"
[[target]]
name = \"web\"
container = \"web\"
[target.gate]
max_processes = 100
";

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn exits(arguments: &[&str], code: i32) -> Result<Output> {
    let output = output(arguments)?;
    let what = format!(
        "metamcp-guard {}: {}{}",
        arguments.join(" "),
        out(&output),
        err(&output)
    );
    same(&what, output.status.code(), Some(code))?;
    ensure!(
        !err(&output).contains("panicked"),
        "it panicked: {}",
        err(&output)
    );
    Ok(output)
}

pub fn good_config() -> Result<()> {
    let folder = Folder::new()?;
    let file = folder.file("good.toml", GOOD)?;
    let said = exits(&["config", "check", "--config", &file], 0)?;
    ensure!(
        out(&said).contains(&file),
        "it names the file: {}",
        out(&said)
    );
    let said = exits(&["config", "check", "--json", "--config", &file], 0)?;
    let _: Value = serde_json::from_str(&out(&said)).context("--json prints JSON")?;
    Ok(())
}

pub fn bad_configs() -> Result<()> {
    let folder = Folder::new()?;
    let cases = [
        (
            "unknown key",
            GOOD.replace("max_processes", "max_proceses"),
            6,
            "max_processes",
        ),
        (
            "wrong type",
            GOOD.replace("100", "\"many\""),
            6,
            "max_processes",
        ),
        (
            "not TOML",
            GOOD.replace("[target.gate]", "[target.gate"),
            5,
            "5",
        ),
        (
            "no target's place",
            GOOD.replace("container = \"web\"\n", ""),
            2,
            "container",
        ),
        (
            "zero processes",
            GOOD.replace("100", "0"),
            6,
            "max_processes",
        ),
    ];
    for (what, text, line, word) in cases {
        let file = folder.file("bad.toml", &text)?;
        let said = err(&exits(&["config", "check", "--config", &file], 2)?);
        ensure!(
            said.contains(&format!(":{line}:")),
            "{what}: line {line} is not named: {said}"
        );
        ensure!(said.contains(word), "{what}: {word} is not named: {said}");
    }
    let said = err(&exits(
        &["config", "check", "--config", "/nowhere/x.toml"],
        2,
    )?);
    ensure!(said.contains("/nowhere/x.toml"), "{said}");
    // What `run` is given is checked as well, before anything is done.
    let file = folder.file("bad.toml", "mode = 7\n")?;
    exits(&["run", "--config", &file], 2).map(drop)
}

pub fn config_show() -> Result<()> {
    let folder = Folder::new()?;
    let file = folder.file("good.toml", GOOD)?;
    let first = out(&exits(&["config", "show", "--config", &file], 0)?);
    let shown = folder.file("shown.toml", &first)?;
    let second = out(&exits(&["config", "show", "--config", &shown], 0)?);
    same("shown again", second, first)
}

pub fn doctor() -> Result<()> {
    let output = output(&["doctor", "--json"])?;
    ensure!(
        matches!(output.status.code(), Some(0 | 1)),
        "{:?}: {}",
        output.status,
        err(&output)
    );
    let report: Value = serde_json::from_str(&out(&output)).context("doctor --json")?;
    let checks = report["checks"].as_array().context("no checks")?;
    ensure!(
        checks.len() >= 8,
        "kernel, BTF, LSM, tracefs, lockdown, cgroups, Docker, yama: {report}"
    );
    for check in checks.iter().filter(|check| check["verdict"] != "ok") {
        let fix = check["fix"].as_str().unwrap_or_default();
        ensure!(!fix.is_empty(), "a lack without a fix: {check}");
    }
    Ok(())
}

pub fn completions() -> Result<()> {
    let folder = Folder::new()?;
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&exits(&["completions", shell], 0)?);
        ensure!(
            script.contains("metamcp-guard") && script.contains("doctor"),
            "{shell}: {script}"
        );
        if shell == "bash" {
            let file = folder.file("completions.bash", &script)?;
            let status = Command::new("bash")
                .args(["-n", &file])
                .status()
                .context("bash")?;
            ensure!(status.success(), "bash does not take its completions");
        }
    }
    exits(&["completions", "tcsh9"], 2).map(drop)
}

pub fn manual() -> Result<()> {
    let page = out(&exits(&["man"], 0)?);
    ensure!(
        page.contains(".TH metamcp-guard"),
        "no manual page: {page:.200}"
    );
    ensure!(
        page.contains("Exit codes") && page.contains("doctor"),
        "half a manual page"
    );
    Ok(())
}

pub fn status_without_agent() -> Result<()> {
    let said = exits(&["--socket", "/nowhere/agent.sock", "status"], 4)?;
    ensure!(
        err(&said).contains("/nowhere/agent.sock"),
        "it says where it asked: {}",
        err(&said)
    );
    ensure!(
        err(&said).contains("run"),
        "it says how to start one: {}",
        err(&said)
    );
    Ok(())
}

/// Run as `nobody`, from a copy that `nobody` may read.
pub fn run_without_root() -> Result<()> {
    let folder = Folder::new()?;
    let copy = folder.path().join("metamcp-guard");
    std::fs::copy(place::program("GUARD_AGENT", "metamcp-guard")?, &copy)?;
    let cgroup = place::cgroup_root()?.join("x").display().to_string();
    for arguments in [&["run", "--cgroup", &cgroup][..], &["run", "--demo"]] {
        let output = Command::new(&copy)
            .args(arguments)
            .uid(65_534)
            .gid(65_534)
            .output()
            .context("starting it as nobody")?;
        same(
            &format!("{arguments:?}: {}", err(&output)),
            output.status.code(),
            Some(3),
        )?;
        ensure!(
            err(&output).contains("root"),
            "it says what it needs: {}",
            err(&output)
        );
        ensure!(
            err(&output).contains("sudo"),
            "it says how to get it: {}",
            err(&output)
        );
    }
    Ok(())
}

pub fn bad_usage() -> Result<()> {
    exits(&["frobnicate"], 2)?;
    exits(&["run", "--cgroup"], 2)?;
    exits(&["run", "--cgroup", "relative/path"], 2)?;
    exits(&["run", "--demo", "--observe"], 2)?;
    exits(&["--version"], 0)?;
    let status = command(&["--help"])?.output()?.status;
    same("--help", status.code(), Some(0))
}
