//! A kernel of Debian's, fetched by apt and unpacked below `target`, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{step, workspace};

/// Where a wanted version may be, in the order we ask: the system's own release first.
const SUITES: [&str; 4] = [
    "bookworm",
    "bookworm-backports",
    "trixie",
    "trixie-backports",
];

/// The bootable image of the newest kernel whose version begins with `version`; fetched once.
pub fn ensure(version: &str) -> Result<PathBuf> {
    if !version.starts_with(|c: char| c.is_ascii_digit())
        || !version
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".+~-".contains(c))
    {
        bail!("`{version}` is no kernel version: give one like 6.12");
    }
    let folder = workspace::target()
        .join("vm")
        .join(format!("kernel-{version}"));
    if let Some(image) = image_in(&folder) {
        return Ok(image);
    }
    step::say(&format!(
        "fetching Debian's kernel {version} (about 35 MB) into {}; nothing is installed",
        folder.display()
    ));
    fetch(version, &folder)?;
    image_in(&folder).with_context(|| format!("the package for {version} has no vmlinuz"))
}

/// A module of a kernel that [`ensure`] fetched.
pub fn module(version: &str, name: &str) -> Result<PathBuf> {
    let folder = workspace::target()
        .join("vm")
        .join(format!("kernel-{version}"));
    let file = format!("{name}.ko.xz");
    find(&folder.join("usr/lib/modules"), &file)
        .with_context(|| format!("Debian's kernel {version} has no module {name}"))
}

/// The file of that name in a folder or below it.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| {
            if path.is_dir() {
                find(&path, name)
            } else {
                path.ends_with(name).then_some(path)
            }
        })
}

/// `boot/vmlinuz-V` up to 6.18, later `usr/lib/modules/V/vmlinuz`.
fn image_in(folder: &Path) -> Option<PathBuf> {
    let boot = fs::read_dir(folder.join("boot"));
    let in_boot = boot.into_iter().flatten().flatten().find(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("vmlinuz-")
    });
    match in_boot {
        Some(entry) => Some(entry.path()),
        None => find(&folder.join("usr/lib/modules"), "vmlinuz"),
    }
}

fn fetch(version: &str, folder: &Path) -> Result<()> {
    let apt = Apt::new()?;
    apt.quietly("get", &["update"])?;
    let names = step::output(&mut apt.command("cache", &["pkgnames", "linux-"]))?;
    let Some(package) = newest(names.lines(), version) else {
        bail!(
            "Debian ({}) has no cloud kernel {version} for amd64: see \
             `apt-cache search linux-image` for what there is",
            SUITES.join(", ")
        );
    };
    let modules = modules_of(&package).filter(|wanted| names.lines().any(|name| name == wanted));
    for wanted in [Some(package), modules].into_iter().flatten() {
        apt.quietly("get", &["download", &wanted])?;
    }
    let packages = fs::read_dir(&apt.folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    for archive in packages {
        step::run(Command::new("dpkg").arg("-x").arg(&archive).arg(folder))?;
    }
    fs::remove_dir_all(&apt.folder)?;
    Ok(())
}

/// The newest of the cloud kernels that begin with the version. Up to 6.18 the image is in
/// `linux-image-V-cloud-amd64`; from 6.19 on that one is empty and names `linux-binary-V-cloud-amd64`.
fn newest<'a>(names: impl Iterator<Item = &'a str>, version: &str) -> Option<String> {
    let release = |name: &str| {
        let rest = ["linux-image-", "linux-binary-"]
            .iter()
            .find_map(|p| name.strip_prefix(p))?;
        let release = rest.strip_suffix("-cloud-amd64")?;
        let tail = release.strip_prefix(version)?;
        // 6.1 is not 6.12.
        let right = !tail.starts_with(|c: char| c.is_ascii_digit());
        right.then(|| (numbers(release), name.starts_with("linux-binary-")))
    };
    names
        .filter_map(|name| Some((release(name)?, name)))
        .max()
        .map(|(_, name)| name.to_owned())
}

/// The package with the modules, where it is not the one with the image.
fn modules_of(package: &str) -> Option<String> {
    let release = package.strip_prefix("linux-binary-")?;
    Some(format!("linux-modules-{release}"))
}

/// The numbers of a version, for comparing: 6.12.90+deb12.1 is [6, 12, 90, 12, 1].
fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// An apt of our own, with the machine's mirror but other releases, that knows no installed
/// package and changes nothing outside its folder.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new() -> Result<Self> {
        let folder = workspace::target().join("vm/apt");
        // What an interrupted run left.
        let _ = fs::remove_dir_all(&folder);
        for needed in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(needed))?;
        }
        let mirror = debian_mirror()?;
        let sources: String = SUITES
            .iter()
            .map(|suite| {
                format!(
                    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {suite} main\n"
                )
            })
            .collect();
        fs::write(folder.join("sources.list"), sources)?;
        Ok(Self { folder })
    }

    fn command(&self, tool: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(format!("apt-{tool}"));
        let option =
            |name: &str, below: &str| format!("{name}={}", self.folder.join(below).display());
        command.current_dir(&self.folder).args([
            "-q",
            "-o",
            &option("Dir::Etc::SourceList", "sources.list"),
            "-o",
            "Dir::Etc::SourceParts=/dev/null",
            "-o",
            &option("Dir::State::Lists", "lists"),
            "-o",
            &option("Dir::Cache", "cache"),
            "-o",
            "Dir::State::status=/dev/null",
            // The folder is below a home that apt's own user may not enter.
            "-o",
            "APT::Sandbox::User=root",
        ]);
        command.args(arguments);
        command
    }

    fn quietly(&self, tool: &str, arguments: &[&str]) -> Result<()> {
        let label = format!("apt-{tool} {} (private)", arguments.join(" "));
        step::quietly(&label, &mut self.command(tool, arguments))
    }
}

/// The mirror this machine takes Debian from.
fn debian_mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(parts.flatten().map(|entry| entry.path()));
    }
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| mirror_of(&text))
        .context("the apt sources of this machine name no Debian mirror: is it a Debian?")
}

/// The first address of a Debian archive in an apt source, old or deb822 style.
fn mirror_of(source: &str) -> Option<String> {
    source
        .lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace)
        .find(|word| word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_signed_cloud_kernel_is_taken() {
        let names = [
            "linux-image-6.12.9+deb12-cloud-amd64",
            "linux-image-6.12.90+deb12.1-cloud-amd64",
            "linux-image-6.12.90+deb12-cloud-amd64",
            "linux-image-6.12.95+deb12-cloud-amd64-unsigned",
            "linux-image-6.12.95+deb12-amd64",
            "linux-image-6.1.0-40-cloud-amd64",
            "linux-binary-6.19.1+deb14-cloud-amd64",
            "linux-image-6.19.1+deb14-cloud-amd64",
            "linux-modules-6.19.1+deb14-cloud-amd64",
        ];
        let check = |version: &str, expected: Option<&str>| {
            assert_eq!(
                newest(names.into_iter(), version).as_deref(),
                expected,
                "{version}"
            );
        };
        check("6.12", Some("linux-image-6.12.90+deb12.1-cloud-amd64"));
        check("6.1", Some("linux-image-6.1.0-40-cloud-amd64"));
        check("6.19", Some("linux-binary-6.19.1+deb14-cloud-amd64"));
        check("5.10", None);
        let with = modules_of("linux-binary-6.19.1+deb14-cloud-amd64");
        assert_eq!(
            with.as_deref(),
            Some("linux-modules-6.19.1+deb14-cloud-amd64")
        );
        assert_eq!(modules_of("linux-image-6.12.90+deb12.1-cloud-amd64"), None);
    }

    #[test]
    fn both_styles_of_apt_sources_are_read() {
        let new = "Types: deb\n# https://old.example/debian\nURIs: http://m.example/debian\n";
        assert_eq!(mirror_of(new).as_deref(), Some("http://m.example/debian"));
        let old =
            "# deb http://x.example/debian a main\ndeb https://m.example/debian/ bookworm main";
        assert_eq!(mirror_of(old).as_deref(), Some("https://m.example/debian/"));
        assert_eq!(mirror_of("deb https://m.example/apt x main"), None);
        assert_eq!(mirror_of("URIs: http://m.example/debian-security"), None);
    }
}
