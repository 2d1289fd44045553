//! What this machine has, and where: mounts, and programs built beside the running one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};

/// Where the cgroup v2 hierarchy is mounted; on a hybrid machine that is below the v1 ones.
///
/// # Errors
/// There is none.
pub fn cgroup_root() -> Result<PathBuf> {
    mounted("cgroup2")?.context(
        "no cgroup v2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup, or boot with one",
    )
}

/// Where the cgroup v1 hierarchy of a controller is mounted.
///
/// # Errors
/// There is none.
pub fn cgroup_v1(controller: &str) -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc is not mounted")?;
    let found = mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, path, "cgroup", options, ..] = fields.as_slice() else {
            return None;
        };
        let ours = options.split(',').any(|option| option == controller);
        ours.then(|| PathBuf::from(path))
    });
    found.with_context(|| format!("no cgroup hierarchy has the controller {controller}"))
}

/// Where tracefs is mounted; mounts it where nobody has yet (only systemd does so by itself).
///
/// # Errors
/// Not mounted and not to be mounted: not root, or the kernel has none.
pub fn tracefs() -> Result<PathBuf> {
    if let Some(path) = mounted("tracefs")? {
        return Ok(path);
    }
    let path = Path::new("/sys/kernel/tracing");
    mount("tracefs", path, "tracefs", MountFlags::empty(), None)
        .context("tracefs is not mounted and cannot be: are you root?")?;
    Ok(path.to_owned())
}

fn mounted(kind: &str) -> Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc is not mounted")?;
    Ok(mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let path = fields.next()?;
        (fields.next()? == kind).then(|| PathBuf::from(path))
    }))
}

/// A program of this workspace: the file that `variable` names (`cargo xtask test` sets it), or
/// `name` beside this program, one folder up (test programs lie in `deps/`), or in
/// `target/release`.
///
/// # Errors
/// It is in none of these places.
pub fn program(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable).map(PathBuf::from) {
        if !path.is_file() {
            bail!("{variable} names {}, which is no file", path.display());
        }
        return Ok(path);
    }
    let me = std::env::current_exe().context("who am I")?;
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release");
    me.ancestors()
        .skip(1)
        .take(2)
        .chain([release.as_path()])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| {
            format!(
                "{name} is not beside {}: build it, or set {variable}",
                me.display()
            )
        })
}
