//! The kernel side's objects: built, or taken ready-made, into `target/bpf`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::toolchain::{TARGET, Toolchain};
use crate::{step, workspace};

/// Names a ready object where `--bpf-object` does not.
pub const OBJECT_VARIABLE: &str = "METAMCP_GUARD_BPF_OBJECT";

/// Fills `target/bpf` with one file per binary of `guard-ebpf`. A `ready` object is taken instead
/// of building; objects that lie beside it under their own names are taken too.
pub fn objects(ready: Option<&Path>) -> Result<()> {
    let from_environment = std::env::var_os(OBJECT_VARIABLE).map(PathBuf::from);
    let names = binaries()?;
    fs::create_dir_all(workspace::bpf())?;
    match ready.or(from_environment.as_deref()) {
        Some(object) => take(object, &names),
        None => build(&names),
    }
}

fn build(names: &[String]) -> Result<()> {
    let toolchain = Toolchain::ensure()?;
    let mut cargo = toolchain.cargo("build");
    step::run(&mut cargo).with_context(|| {
        format!(
            "the kernel side does not build with {}",
            toolchain.describe()
        )
    })?;
    let built = workspace::target()
        .join("bpf-build")
        .join(TARGET)
        .join("release");
    names
        .iter()
        .try_for_each(|name| place(&built.join(name), name))
}

fn take(object: &Path, names: &[String]) -> Result<()> {
    if !object.is_file() {
        bail!("the BPF object {} is not a file", object.display());
    }
    step::say(&format!("taking the ready BPF object {}", object.display()));
    place(object, "guard-ebpf")?;
    for name in names.iter().filter(|name| *name != "guard-ebpf") {
        let sibling = object.with_file_name(name);
        if sibling.is_file() {
            place(&sibling, name)?;
        } else {
            step::say(&format!(
                "no {name} beside it: tests that need it cannot be built"
            ));
        }
    }
    Ok(())
}

/// Copies only what changed: the file's time is what cargo rebuilds the agent by.
fn place(from: &Path, name: &str) -> Result<()> {
    let to = workspace::bpf().join(name);
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(&to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(&to, new).with_context(|| format!("cannot write {}", to.display()))
}

/// The names of `guard-ebpf`'s binaries, as cargo knows them.
fn binaries() -> Result<Vec<String>> {
    let mut metadata = workspace::cargo();
    metadata.args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ]);
    let text = step::output(&mut metadata)?;
    let value: serde_json::Value = serde_json::from_str(&text).context("cargo metadata's JSON")?;
    let packages = value.get("packages").and_then(|list| list.as_array());
    let ebpf = packages
        .into_iter()
        .flatten()
        .find(|package| package.get("name").is_some_and(|name| name == "guard-ebpf"))
        .context("the workspace has no package guard-ebpf")?;
    let targets = ebpf.get("targets").and_then(|list| list.as_array());
    Ok(targets
        .into_iter()
        .flatten()
        .filter(|target| {
            target
                .get("kind")
                .and_then(|kind| kind.get(0))
                .is_some_and(|kind| kind == "bin")
        })
        .filter_map(|target| target.get("name")?.as_str().map(str::to_owned))
        .collect())
}
