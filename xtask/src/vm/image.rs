//! What a machine boots with: our init, the command, and the files it needs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::vm::cpio::Writer;
use crate::{agent, apt, step, workspace};

/// What goes in beside the init.
pub struct Contents<'a> {
    /// Files and folders for /payload.
    pub payload: &'a [PathBuf],
    /// Kernel modules, in the order in which the init loads them.
    pub modules: &'a [PathBuf],
    /// Program and arguments; a program that is in no payload is taken from this machine.
    pub command: &'a [String],
    /// `NAME=VALUE` each.
    pub environment: &'a [String],
    /// systemd is to be the first process, of this machine's version.
    pub systemd: bool,
}

/// systemd itself, where Debian and others have it. `vm-init` executes it where it is in the image.
const SYSTEMD: &str = "/lib/systemd/systemd";

/// All that is to be started: the init again, as a service that runs the command. Outside of system.slice, so
/// that only containers are in there.
const UNITS: [(&str, &str); 2] = [
    (
        "etc/systemd/system/default.target",
        "[Unit]\nDescription=the command\nRequires=vm.service\nAfter=vm.service\n",
    ),
    (
        "etc/systemd/system/vm.service",
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=exec\nExecStart=/init\nSlice=vm.slice\nDelegate=yes\n\
         TasksMax=infinity\nLimitMEMLOCK=infinity\nLimitNOFILE=65536\n",
    ),
];

/// An initramfs on disk, gone when dropped.
pub struct Image(PathBuf);

impl Image {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Builds the init where need be and packs all.
pub fn build(contents: &Contents<'_>) -> Result<Image> {
    let init = build_init()?;
    let folder = workspace::target().join("vm");
    fs::create_dir_all(&folder)?;
    let image = Image(folder.join(format!("initrd-{}.cpio", std::process::id())));
    let file = fs::File::create(image.path())
        .with_context(|| format!("cannot write {}", image.path().display()))?;
    let mut archive = Writer::new(BufWriter::new(file));
    for folder in [
        "proc", "sys", "dev", "tmp", "run", "root", "var/lib", "usr/bin",
    ] {
        archive.folder(folder)?;
    }
    archive.file("init", &stripped(&init)?)?;
    archive.file("vm/command", &ended_words(contents.command))?;
    archive.file("vm/environment", &ended_words(contents.environment))?;
    let mut files = BTreeSet::new();
    if contents.systemd {
        let program = PathBuf::from(SYSTEMD);
        files.extend(libraries(&program));
        files.insert(program);
        for (place, text) in UNITS {
            archive.file(place, text.as_bytes())?;
        }
        archive.file("etc/machine-id", b"00000000000000000000000000000001\n")?;
        archive.file("etc/os-release", b"ID=vm\n")?;
        archive.folder("var")?;
        archive.link("var/run", "/run")?;
    }
    for source in contents.payload {
        let name = source
            .file_name()
            .context("a payload must have a name")?
            .to_string_lossy();
        let place = format!("payload/{name}");
        if source.is_dir() {
            tree(&mut archive, source, &place)?;
            continue;
        }
        archive.file(&place, &stripped(source)?)?;
        files.extend(libraries(source));
    }
    for (at, module) in contents.modules.iter().enumerate() {
        let content = read(module)?;
        archive.file(&format!("vm/modules/{at:02}"), &content)?;
    }
    if let Some(program) = contents
        .command
        .first()
        .and_then(|name| on_this_machine(name, contents))
    {
        files.extend(libraries(&program));
        files.insert(program);
    }
    for file in &files {
        let content = read(file)?;
        archive.file(&file.to_string_lossy(), &content)?;
    }
    archive.finish()?.flush()?;
    Ok(image)
}

/// A folder as it is, with its links. Libraries of programs in it do not come along.
fn tree<W: Write>(archive: &mut Writer<W>, from: &Path, to: &str) -> Result<()> {
    archive.folder(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let to = format!("{to}/{}", entry.file_name().to_string_lossy());
        if kind.is_dir() {
            tree(archive, &path, &to)?;
        } else if kind.is_symlink() {
            archive.link(&to, &fs::read_link(&path)?.to_string_lossy())?;
        } else {
            archive.file(&to, &stripped(&path)?)?;
        }
    }
    Ok(())
}

fn build_init() -> Result<PathBuf> {
    apt::ensure(
        &["libc6-dev"],
        "linking programs for the virtual machine statically",
    )?;
    let mut cargo = workspace::cargo();
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "xtask",
        "--bin",
        "vm-init",
    ]);
    cargo.arg("--no-default-features");
    agent::statically(&mut cargo);
    step::run(&mut cargo)?;
    Ok(workspace::target()
        .join("static")
        .join(agent::STATIC_TARGET)
        .join("release/vm-init"))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The file without debug information: TCG unpacks tens of megabytes a second, not hundreds.
fn stripped(file: &Path) -> Result<Vec<u8>> {
    let whole = read(file)?;
    if !whole.starts_with(b"\x7fELF") {
        return Ok(whole);
    }
    let copy = workspace::target()
        .join("vm")
        .join(format!("strip-{}", std::process::id()));
    fs::create_dir_all(copy.parent().unwrap_or(&copy))?;
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(&copy).arg(file);
    let small = if step::succeeds(&mut strip) {
        fs::read(&copy).ok()
    } else {
        None
    };
    let _ = fs::remove_file(&copy);
    Ok(small.unwrap_or(whole))
}

/// The shared libraries of a program, its loader among them, as absolute paths.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output();
    let text = output.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    library_paths(&text.unwrap_or_default())
}

/// The paths in the output of `ldd`.
fn library_paths(ldd: &str) -> Vec<PathBuf> {
    ldd.split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// The command's program on this machine, where no payload brings it.
fn on_this_machine(name: &str, contents: &Contents<'_>) -> Option<PathBuf> {
    if contents.payload.iter().any(|file| file.ends_with(name)) || name.starts_with("/payload/") {
        return None;
    }
    if name.starts_with('/') {
        return Some(PathBuf::from(name));
    }
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|file| file.is_file())
}

/// Each word ended by NUL.
fn ended_words(words: &[String]) -> Vec<u8> {
    words
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_names_libraries_and_the_loader() {
        let text = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\t/lib64/ld.so (0x7f)\n";
        assert_eq!(
            library_paths(text),
            ["/lib/x/libc.so.6", "/lib64/ld.so"].map(PathBuf::from)
        );
        assert!(library_paths("\tnot a dynamic executable\n").is_empty());
    }
}
