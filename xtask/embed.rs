//! What the build scripts of the agent and of the tests share: take a finished BPF object into
//! `OUT_DIR`, from where the crate embeds it.
//!
//! Build scripts do not build it themselves: the kernel side needs another compiler than the rest
//! (`cargo xtask build` finds it), and a nested cargo would wait for its own caller's lock.

use std::path::{Path, PathBuf};

/// Copies the object `name` to `OUT_DIR/<name>.o`: the file that the variable `variable` names,
/// or else `target/bpf/<name>` of the workspace.
///
/// A missing object is a build error that says what to do.
pub fn embed(variable: &str, name: &str) {
    println!("cargo::rerun-if-env-changed={variable}");
    let object = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/bpf")
            .join(name),
    };
    println!("cargo::rerun-if-changed={}", object.display());
    if !object.is_file() {
        println!(
            "cargo::error=the BPF object is missing; run `cargo xtask build` (looked for {})",
            object.display()
        );
        return;
    }
    let Some(out) = std::env::var_os("OUT_DIR") else {
        println!("cargo::error=OUT_DIR is not set: this is a build script, run it through cargo");
        return;
    };
    let copy = Path::new(&out).join(name).with_extension("o");
    if let Err(error) = std::fs::copy(&object, &copy) {
        println!(
            "cargo::error=cannot copy {} to {}: {error}",
            object.display(),
            copy.display()
        );
    }
}
