//! What a machine needs so that a test program can start dockerd in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{apt, step, workspace};

/// Of this machine, put into that one. `docker-init` is for `docker run --init`, and the test kit runs
/// nothing without `timeout`.
const PROGRAMS: [&str; 7] = [
    "dockerd",
    "docker",
    "docker-init",
    "containerd",
    "containerd-shim-runc-v2",
    "runc",
    "timeout",
];

/// There is no root to pivot from in a machine whose root is its initramfs.
pub const ENVIRONMENT: [&str; 2] = ["DOCKER_RAMDISK=true", "GUARD_IMAGE=/payload/docker-image"];
/// Debian's kernel has AppArmor, which would have dockerd load a profile by a program that is not there.
pub const PARAMETERS: &str = "apparmor=0";
/// For the containers' overlays.
pub const MODULE: &str = "overlay";
/// Programs and image are held in memory: 300 MB.
pub const MEMORY: u32 = 4096;

/// The programs, and the image, which the test program makes before it goes there.
pub fn payload(test: &Path) -> Result<Vec<PathBuf>> {
    let image = workspace::target().join("vm/docker-image");
    step::run(Command::new(test).env("GUARD_MAKE_IMAGE", &image))?;
    let mut payload = vec![image];
    for program in PROGRAMS {
        let path = apt::in_path(program);
        payload.push(path.with_context(|| format!("{program} is not in PATH"))?);
    }
    Ok(payload)
}
