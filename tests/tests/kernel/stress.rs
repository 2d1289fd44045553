//! stress-ng's stressors of process creation: somebody else's idea of a storm.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use guard_tests::Folder;
use guard_tests::check::same;
use guard_tests::guarded::{WIDE, cap};
use guard_tests::suite::cannot_here;

use crate::scene::{Scene, refuses};

/// Each, with two workers, and how many operations.
const STRESSORS: [(&str, &str); 5] = [
    ("fork", "300"),
    ("vfork", "300"),
    ("clone", "40"),
    ("spawn", "60"),
    ("exec", "60"),
];

/// Runs one in the scene's cgroup, bounded by operations and by time. Two of them want to be nobody.
fn run(scene: &Scene, folder: &Folder, (stressor, operations): (&str, &str)) -> Result<()> {
    let place = folder.path().display().to_string();
    let (which, ops) = (format!("--{stressor}"), format!("--{stressor}-ops"));
    let words = ["run", "--as-nobody", "--", "stress-ng", "--quiet"];
    let bounds = [&which, "2", &ops, operations, "--timeout", "2"];
    let words = [&words[..], &bounds, &["--temp-path", &place]].concat();
    let (status, said) = scene.start(&words)?.ended()?;
    // Refused, some of them give up: what is compared is what was counted.
    ensure!(status.code().is_some(), "{stressor}: {status} {said}");
    Ok(())
}

/// A folder that nobody may write to.
fn folder() -> Result<Folder> {
    let folder = Folder::new()?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777))?;
    Ok(folder)
}

fn is_here() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join("stress-ng").is_file());
    if found {
        return Ok(());
    }
    Err(cannot_here("there is no stress-ng on this machine"))
}

/// Far from any limit: guard and witness count the same, to the last task.
pub fn counted() -> Result<()> {
    is_here()?;
    let folder = folder()?;
    let scene = Scene::set("stress", WIDE)?;
    for one in STRESSORS {
        let before = scene.at_rest()?.counts;
        run(&scene, &folder, one)?;
        let now = scene.at_rest()?.counts;
        let least: u64 = one.1.parse()?;
        ensure!(
            now.spawns - before.spawns + now.threads - before.threads >= least,
            "{} made {} of {least}",
            one.0,
            now.spawns - before.spawns
        );
        same("stopped", now.denied + now.condemned, 0)?;
    }
    scene.end()
}

/// At a cap that they press against: it holds, and what is counted is right.
pub fn held() -> Result<()> {
    const CAP: u64 = 4;
    is_here()?;
    let folder = folder()?;
    let scene = Scene::set("stress-cap", &cap(CAP))?;
    for one in STRESSORS {
        run(&scene, &folder, one)?;
        scene.at_rest()?;
    }
    let (said, seen) = (scene.guarded.only()?, scene.witness.counts()?);
    ensure!(
        said.counts.denied + said.counts.condemned > 100,
        "they did not press: {said:?}"
    );
    same("live at once", said.counts.peak_live, CAP)?;
    let most = if refuses()? {
        seen.live_peak
    } else {
        seen.running_peak
    };
    ensure!(most <= CAP, "{most} at once under a cap of {CAP}");
    scene.end()
}
