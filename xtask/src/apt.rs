//! Debian packages: said first with the reason, installed only where missing and only by root.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::step;

/// Makes sure that the packages are installed; `why` completes "… is needed for".
///
/// # Errors
/// Not root, no apt here, or apt failed: the message names the command to run by hand.
pub fn ensure(packages: &[&str], why: &str) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "apt-get install --no-install-recommends {}",
        missing.join(" ")
    );
    if !step::succeeds(Command::new("apt-get").arg("--version")) {
        bail!(
            "{} is needed for {why} and this system has no apt-get: install it by other means",
            missing.join(", ")
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "{} is needed for {why}; only root may install it: run `sudo {by_hand}`",
            missing.join(", ")
        );
    }
    step::say(&format!(
        "installing by apt, for {why}: {}",
        missing.join(" ")
    ));
    if !all_known(&missing) {
        step::quietly("apt-get update", apt().arg("update"))?;
    }
    let install = |packages: &[&str]| {
        let label = format!("apt-get install {}", packages.join(" "));
        let flags = ["install", "-y", "--no-install-recommends"];
        step::quietly(&label, apt().args(flags).args(packages))
    };
    // Old lists name versions that the mirror has no more.
    install(&missing).or_else(|first| {
        step::say(&format!(
            "{first:#}\nxtask: trying again with fresh package lists"
        ));
        step::quietly("apt-get update", apt().arg("update"))?;
        install(&missing)
    })
}

/// As [`ensure`] for programs, each with the package that has it: a program that is in PATH already,
/// wherever it came from, is left alone.
pub fn ensure_programs(programs: &[(&str, &str)], why: &str) -> Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| in_path(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    ensure(&missing, why)
}

/// The file of that name in PATH.
pub fn in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Those of the packages that are not installed.
fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let installed = installed(packages);
    packages
        .iter()
        .copied()
        .filter(|name| !installed.contains(*name))
        .collect()
}

fn installed(packages: &[&str]) -> BTreeSet<String> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status} ${Package}\n"])
        .args(packages)
        .output();
    let text = output.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .map(str::to_owned)
        .collect()
}

/// Whether apt's lists have a candidate for each: an image's lists are often removed.
fn all_known(packages: &[&str]) -> bool {
    packages.iter().all(|name| {
        step::succeeds(Command::new("apt-cache").args(["show", "--no-all-versions", name]))
    })
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(["-o", "Acquire::Retries=3"]);
    command
}
