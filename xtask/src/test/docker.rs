//! What a machine needs so that a test program can start dockerd in it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{apt, step, vm, workspace};

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
const ENVIRONMENT: [&str; 2] = ["DOCKER_RAMDISK=true", "GUARD_IMAGE=/payload/docker-image"];
/// Debian's kernel has AppArmor, which would have dockerd load a profile by a program that is not there.
const PARAMETERS: &str = "apparmor=0";
/// For the containers' overlays.
const MODULE: &str = "overlay";
/// Programs and image, 300 MB, are held in memory.
const MEMORY: u32 = 4096;

/// Adds all that: the image is made by the test program, before it goes there itself.
pub fn add(options: &mut vm::Options, test: &Path) -> Result<()> {
    let image = workspace::target().join("vm/docker-image");
    step::run(Command::new(test).env("GUARD_MAKE_IMAGE", &image))?;
    options.payload.push(image);
    for program in PROGRAMS {
        let path = apt::in_path(program);
        let path = path.with_context(|| format!("{program} is not in PATH"))?;
        options.payload.push(path);
    }
    options.env.extend(ENVIRONMENT.map(str::to_owned));
    options.append = PARAMETERS.to_owned();
    options.module.push(MODULE.to_owned());
    options.memory = MEMORY;
    Ok(())
}
