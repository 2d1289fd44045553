//! Where things lie.

use std::path::{Path, PathBuf};

/// The workspace's top folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// All that xtask makes lies below: always the workspace's own `target`, whatever
/// `CARGO_TARGET_DIR` says, because the build scripts look for the BPF objects there.
pub fn target() -> PathBuf {
    root().join("target")
}

/// The finished BPF objects, one file per binary of `guard-ebpf`.
pub fn bpf() -> PathBuf {
    target().join("bpf")
}

/// Tools that xtask installed for itself.
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// Output of the quiet steps.
pub fn logs() -> PathBuf {
    target().join("xtask-logs")
}

/// The cargo that runs us, so that a toolchain chosen by the caller is kept.
pub fn cargo() -> std::process::Command {
    let mut cargo =
        std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}
