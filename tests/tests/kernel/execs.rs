//! Programs that are executed by way of others: a script's interpreter, and one that binfmt_misc names.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use guard_tests::Folder;
use guard_tests::check::same;
use guard_tests::guarded::cap;
use guard_tests::load::tiny;
use guard_tests::suite::cannot_here;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::scene::Scene;

const CAP: u64 = 10;

/// Each is one exec, and one program at a time: whoever is executed by way of it.
fn under_the_cap(test: &str, program: &str) -> Result<()> {
    let scene = Scene::set(test, &cap(CAP))?;
    let report = scene.storm(&["execs", "40", "--hold", "500", "--tiny", program])?;
    same("executed beside their parent", report.executed, CAP - 1)?;
    let said = scene.at_rest()?;
    // In `deny` the first of them may come before its mounts are marked.
    same(
        "refused or killed, failed",
        (report.refused + report.killed, report.failed),
        (41 - CAP, 0),
    )?;
    let counts = &said.counts;
    same("stopped", counts.denied + counts.killed, 41 - CAP)?;
    let seen = scene.witness.counts()?;
    same("programs at once", seen.running_peak, CAP)?;
    same("execs", said.counts.execs, seen.execs)?;
    scene.end()
}

/// A file that may be executed; gives its path.
fn executable(folder: &Folder, name: &str, content: &[u8]) -> Result<String> {
    let path = folder.path().join(name);
    fs::write(&path, content)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path.display().to_string())
}

pub fn of_scripts() -> Result<()> {
    let folder = Folder::new()?;
    let interpreter = executable(&folder, "interpreter", &tiny::holds())?;
    let script = executable(&folder, "script", format!("#!{interpreter}\n").as_bytes())?;
    under_the_cap("script", &script)
}

pub fn by_binfmt_misc() -> Result<()> {
    let folder = Folder::new()?;
    let interpreter = executable(&folder, "interpreter", &tiny::holds())?;
    let name = format!("guard-test-{}", std::process::id());
    let odd = executable(&folder, "odd", format!("{name}\n").as_bytes())?;
    let _format = Format::register(&folder, &name, &interpreter)?;
    under_the_cap("misc", &odd)
}

/// Files that begin with a format's name are executed by its interpreter, until it is dropped.
struct Format {
    place: PathBuf,
    name: String,
}

impl Format {
    fn register(folder: &Folder, name: &str, interpreter: &str) -> Result<Self> {
        const FS: &str = "binfmt_misc";
        let place = folder.path().join(FS);
        fs::create_dir(&place)?;
        mount(FS, &place, FS, MountFlags::empty(), None)
            .map_err(|error| cannot_here(&format!("no binfmt_misc to mount: {error}")))?;
        let format = Self {
            place,
            name: name.to_owned(),
        };
        let line = format!(":{name}:M::{name}::{interpreter}:");
        let register = format.place.join("register");
        fs::write(&register, line).with_context(|| register.display().to_string())?;
        Ok(format)
    }

    fn entry(&self) -> PathBuf {
        Path::new(&self.place).join(&self.name)
    }
}

impl Drop for Format {
    fn drop(&mut self) {
        if self.entry().exists()
            && let Err(error) = fs::write(self.entry(), "-1")
        {
            eprintln!("test kit: {} stays: {error}", self.entry().display());
        }
        if let Err(error) = unmount(&self.place, UnmountFlags::DETACH) {
            eprintln!("test kit: {} stays: {error}", self.place.display());
        }
    }
}
