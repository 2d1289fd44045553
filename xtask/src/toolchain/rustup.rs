//! rustup's nightly, which builds `core` for BPF from `rust-src`: what most developers have.
//!
//! Written from aya's own way of building and NOT tested by our CI: its machines can fetch no
//! `rust-src`. Tell us when it breaks.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{apt, step};

/// The linker, if nightly, its `rust-src` and `bpf-linker` are all here.
pub fn present() -> Option<PathBuf> {
    let linker = apt::in_path("bpf-linker")?;
    let mut query = Command::new("rustup");
    query
        .args(["run", "nightly", "rustc", "--print", "sysroot"])
        .stderr(std::process::Stdio::null());
    let output = query
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
    (source.is_dir() && step::succeeds(Command::new(&linker).arg("--version"))).then_some(linker)
}

/// `cargo VERB` of nightly, which compiles `core` too.
pub fn cargo(verb: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", verb, "-Z", "build-std=core"]);
    command
}
