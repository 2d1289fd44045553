//! The agent's binary.

use std::path::PathBuf;

use anyhow::Result;

use crate::{bpf, step, workspace};

/// How the agent is built.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Optimised (the default).
    #[arg(long, conflicts_with = "debug")]
    release: bool,
    /// With debug assertions and quick to build.
    #[arg(long)]
    debug: bool,
    /// Linked statically: runs in a VM or a container that has no C library.
    #[arg(long = "static")]
    linked_statically: bool,
    /// A ready BPF object instead of building one.
    #[arg(long, value_name = "FILE")]
    bpf_object: Option<PathBuf>,
}

/// The static target: naming it keeps `crt-static` away from build scripts and macros.
pub const STATIC_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where the agent of that profile lies, whether built or not.
pub fn built(profile: &str) -> PathBuf {
    workspace::target().join(profile).join("metamcp-guard")
}

/// Builds the kernel side and the agent; returns the agent's path.
pub fn build(options: &Options) -> Result<PathBuf> {
    bpf::objects(options.bpf_object.as_deref())?;
    let mut cargo = workspace::cargo();
    cargo.args([
        "build",
        "--package",
        "guard-userspace",
        "--bin",
        "metamcp-guard",
    ]);
    let mut folder = workspace::target();
    if options.linked_statically {
        statically(&mut cargo);
        folder = folder.join("static").join(STATIC_TARGET);
    } else {
        cargo.arg("--target-dir").arg(&folder);
    }
    let profile = if options.debug { "debug" } else { "release" };
    if !options.debug {
        cargo.arg("--release");
    }
    step::run(&mut cargo)?;
    Ok(folder.join(profile).join("metamcp-guard"))
}

/// Makes a cargo command link statically, in a target folder of its own: other flags in a shared
/// one would rebuild everything each time.
pub fn statically(cargo: &mut std::process::Command) {
    const FLAGS: &str = "-C target-feature=+crt-static";
    cargo
        .env("RUSTFLAGS", FLAGS)
        .env("RUSTDOCFLAGS", FLAGS)
        .args(["--target", STATIC_TARGET, "--target-dir"])
        .arg(workspace::target().join("static"));
}

impl Options {
    /// What `cargo xtask run` needs.
    pub fn release(bpf_object: Option<PathBuf>) -> Self {
        Self {
            release: true,
            debug: false,
            linked_statically: false,
            bpf_object,
        }
    }

    /// What a machine without a C library needs.
    pub fn static_release() -> Self {
        Self {
            linked_statically: true,
            ..Self::release(None)
        }
    }
}
