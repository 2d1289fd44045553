//! Where a program is executed from, and whether that is asked about.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use guard_tests::check::same;
use guard_tests::load::tiny;
use guard_tests::{Apart, Folder};

use crate::docket::Guard;

/// A folder with the programs `tiny` (static) and `script` (of sh).
fn programs() -> Result<(Folder, String)> {
    let folder = Folder::new()?;
    fs::write(folder.path().join("tiny"), tiny::ends())?;
    folder.file("script", "#!/bin/sh\nexit 0\n")?;
    for name in ["tiny", "script"] {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755))?;
    }
    fs::create_dir(folder.path().join("late"))?;
    let path = folder.path().to_str().context("UTF-8")?.to_owned();
    Ok((folder, path))
}

/// How often an exec asks: for its file, its interpreter, the loader.
pub fn questions() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    let (_folder, at) = programs()?;
    let before = guard.asked(|| apart.does("/bin/true"))?;
    same("far from the limits", before, 0)?;
    guard.cover(&apart)?;
    for (program, expected) in [("tiny", 1), ("script", 3)] {
        let asked = guard.asked(|| apart.does(&format!("{at}/{program}")))?;
        same(program, asked, expected)?;
    }
    let asked = guard.asked(|| apart.does("/bin/true"))?;
    same("a program with a loader", asked, 2)?;
    // What is not there is nobody's fault, and not asked.
    let asked = guard.asked(|| same("code", apart.code(&format!("{at}/none"))?, 127))?;
    same("a file that is not there", asked, 0)
}

/// A mount that comes after the marks is unseen until the next round; so is nothing that is
/// executed from it by way of a marked one.
pub fn mounted_later() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    let (_folder, at) = programs()?;
    let before = guard.cover(&apart)?;
    apart.does(&format!("mount -t tmpfs none {at}/late"))?;
    apart.does(&format!("cp {at}/tiny {at}/script /bin/true {at}/late"))?;
    guard.docket.condemn_children_of(apart.pid());
    same("unmarked", apart.code(&format!("{at}/late/tiny"))?, 0)?;
    same(
        "its loader is marked",
        apart.code(&format!("{at}/late/true"))?,
        126,
    )?;
    same(
        "its interpreter is marked",
        apart.code(&format!("{at}/late/script"))?,
        126,
    )?;
    let after = guard.cover(&apart)?;
    same("mounts", after.mounts, before.mounts + 1)?;
    same("marked", apart.code(&format!("{at}/late/tiny"))?, 126)?;
    same("a volume", apart.code(&format!("{at}/tiny"))?, 126)
}

/// Executed from memory: what needs no loader is unseen, and left to the mode `kill`.
pub fn from_memory() -> Result<()> {
    let guard = Guard::start()?;
    let (_folder, at) = programs()?;
    let script = r"
import os, subprocess, sys
print('up', flush=True)
for line in sys.stdin:
    fd = os.memfd_create('program')
    os.write(fd, open(line.strip(), 'rb').read())
    try:
        print(subprocess.call([f'/proc/self/fd/{fd}'], pass_fds=[fd]), flush=True)
    except OSError as error:
        print('errno', error.errno, flush=True)
";
    let mut apart = Apart::program(&["python3", "-c", script])?;
    same("it runs", apart.hear()?.as_str(), "up")?;
    guard.cover(&apart)?;
    guard.docket.condemn_children_of(apart.pid());
    apart.say("/bin/true")?;
    same("with a loader", apart.hear()?.as_str(), "errno 11")?;
    apart.say(&format!("{at}/tiny"))?;
    same("without", apart.hear()?.as_str(), "0")
}

/// A process that goes into a namespace of its own is unseen until the next round.
pub fn namespace_made_later() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    let (_folder, at) = programs()?;
    guard.cover(&apart)?;
    let inner = "echo $$; while read -r program; do $program 2>/dev/null; echo $?; done";
    apart.say(&format!("exec unshare --mount sh -c '{inner}'"))?;
    same("the same process", apart.hear()?.parse()?, apart.pid())?;
    guard.docket.condemn_children_of(apart.pid());
    for (when, expected) in [("before the round", 0), ("after it", 126)] {
        apart.say(&format!("{at}/tiny"))?;
        same(when, apart.hear()?.parse()?, expected)?;
        guard.cover(&apart)?;
    }
    Ok(())
}

/// Hidden mounts are counted and what hides them is marked once.
pub fn hidden() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    let (_folder, at) = programs()?;
    let before = guard.cover(&apart)?;
    let mount = format!("mount -t tmpfs none {at}/late");
    apart.does(&format!("{mount} && {mount}"))?;
    let after = guard.cover(&apart)?;
    same("hidden", after.hidden, before.hidden + 1)?;
    same("mounts", after.mounts, before.mounts + 1)?;
    // What the kernel never executes from needs no question.
    apart.does(&format!(
        "mount -t tmpfs -o noexec none '{at}/late' && mkdir '{at}/late/b l'"
    ))?;
    apart.does(&format!(
        "mount -t tmpfs none '{at}/late/b l' && cp {at}/tiny '{at}/late/b l'"
    ))?;
    let last = guard.cover(&apart)?;
    same("noexec", last.noexec, before.noexec + 1)?;
    guard.docket.condemn_children_of(apart.pid());
    same(
        "a name with a blank",
        apart.code(&format!("'{at}/late/b l/tiny'"))?,
        126,
    )
}

/// A container: an overlay as root, and nothing else to be seen.
pub fn other_root() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    let (_folder, at) = programs()?;
    let late = format!("{at}/late");
    apart.does(&format!(
        "mount -t tmpfs none {late} && mkdir {late}/u {late}/w {late}/root"
    ))?;
    let layers = format!("lowerdir=/,upperdir={late}/u,workdir={late}/w");
    apart.does(&format!("mount -t overlay none -o {layers} {late}/root"))?;
    apart.does(&format!(
        "mkdir {late}/root/volume && mount -t tmpfs none {late}/root/volume"
    ))?;
    apart.does(&format!("cp {at}/tiny {late}/root/volume"))?;
    let whole = guard.cover(&apart)?.mounts;
    apart.say(&format!("exec chroot {late}/root sh -c 'echo up; exec sh'"))?;
    same("it runs", apart.hear()?.as_str(), "up")?;
    // The view of the first round is left, with all its marks but these.
    let covered = guard.cover(&apart)?;
    ensure!(covered.mounts < whole, "{covered:?} of {whole}");
    same("mounts", covered.mounts, 2)?;
    guard.docket.condemn_children_of(apart.pid());
    same("of the overlay", apart.code("/bin/true")?, 126)?;
    same("of a volume", apart.code("/volume/tiny")?, 126)
}

/// The host's own execs are not asked about, however long the target's wait.
pub fn host() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    let covered = guard.cover(&apart)?;
    ensure!(covered.on_host.is_empty(), "{covered:?}");
    guard.docket.hold(true);
    apart.say("/bin/true; echo $?")?;
    let waits = apart.hear_within(std::time::Duration::from_millis(200))?;
    same("it waits", waits, None)?;
    let before = guard.deny.counts().asked;
    for _ in 0..20 {
        ensure!(
            std::process::Command::new("/bin/true").status()?.success(),
            "a host's exec"
        );
    }
    same(
        "questions by the host",
        guard.deny.counts().asked - before,
        0,
    )?;
    guard.docket.hold(false);
    same("it goes on", apart.hear()?.as_str(), "0")
}

/// A pid that is no member's any more leads to no mark.
pub fn stranger() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    guard.docket.all_are_strangers();
    let covered = guard.cover(&apart)?;
    same("mounts", covered.mounts, 0)?;
    same("asked", guard.asks(&mut apart)?, false)
}

/// One file, on a mount that is not marked: the canary's.
pub fn one_file() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    let (folder, at) = programs()?;
    let file = folder.path().join("tiny");
    guard.docket.condemn_children_of(apart.pid());
    guard.deny.watch_file(&file)?;
    same("that file", apart.code(&format!("{at}/tiny"))?, 126)?;
    same("another", apart.code("/bin/true")?, 0)?;
    guard.deny.forget_file(&file)?;
    same("that file later", apart.code(&format!("{at}/tiny"))?, 0)
}
