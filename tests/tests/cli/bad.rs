//! Bad input: each row is something that is wrong, how the command ends, and what it says of it.
//! docs/bad-input.md names these and those that other tests try.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use guard_tests::agent::{apart, command, finish};
use guard_tests::{Folder, place};

/// Of whoever is not root.
const NOBODY: u32 = 65_534;

/// How a row's command is started.
enum By {
    /// By root.
    Root,
    /// By `nobody`, from a copy of the binary that `nobody` may read.
    Nobody,
    /// By root with `DOCKER_HOST` so.
    Docker(&'static str),
    /// By root, where this shell script has run in a mount namespace of its own.
    After(&'static str),
}

/// What is wrong, who starts it, the command (`@` is the test's folder), exit code, words of the message.
type Row = (&'static str, By, &'static str, i32, &'static [&'static str]);

use By::{After, Docker, Nobody, Root};

const ROWS: &[Row] = &[
    ("not root: disarm", Nobody, "disarm", 3, &["root", "sudo"]),
    (
        "not root: status",
        Nobody,
        "--socket @/roots.sock status",
        3,
        &["@/roots.sock", "only root", "sudo"],
    ),
    (
        "not root: retire",
        Nobody,
        "--socket @/roots.sock retire --yes",
        3,
        &["@/roots.sock", "sudo"],
    ),
    (
        "a config of root's",
        Nobody,
        "config check --config @/roots.toml",
        3,
        &["@/roots.toml", "root"],
    ),
    (
        "an unknown key",
        Root,
        "config check --config @/key.toml",
        2,
        &["key.toml:1", "agent_timeot", "agent_timeout"],
    ),
    (
        "a wrong type",
        Root,
        "run --config @/type.toml",
        2,
        &["type.toml:4", "max_processes"],
    ),
    (
        "levels that fall",
        Root,
        "config check --config @/levels.toml",
        2,
        &["warning", "critical"],
    ),
    (
        "no regular expression",
        Root,
        "config check --config @/regex.toml",
        2,
        &["regex.toml:3", "protect"],
    ),
    (
        "not UTF-8",
        Root,
        "config check --config @/bytes.toml",
        2,
        &["bytes.toml", "not UTF-8", "line 2"],
    ),
    (
        "10 MB",
        Root,
        "config check --config @/large.toml",
        2,
        &["large.toml", "larger than 1 MiB"],
    ),
    (
        "a folder",
        Root,
        "config check --config @",
        2,
        &["@", "directory", "TOML file"],
    ),
    (
        "no such file",
        Root,
        "config check --config @/none.toml",
        2,
        &["@/none.toml", "--config"],
    ),
    (
        "a file without end",
        Root,
        "config check --config /dev/zero",
        2,
        &["/dev/zero", "larger than 1 MiB"],
    ),
    (
        "pids breaks Node",
        Root,
        "config check --config @/pids.toml",
        0,
        &["limits.pids", "breaks Node", "threads"],
    ),
    (
        "nproc breaks Node",
        Root,
        "config check --config @/nproc.toml",
        0,
        &["limits.nproc", "breaks Node", "user"],
    ),
    (
        "a cgroup by half its path",
        Root,
        "run --cgroup a.slice",
        2,
        &["a.slice", "absolute", "whole path"],
    ),
    (
        "a cgroup with ..",
        Root,
        "run --cgroup /sys/fs/cgroup/../x",
        2,
        &["..", "whole path"],
    ),
    (
        "no cgroup at all",
        Root,
        "run --cgroup /tmp",
        2,
        &["/tmp", "not below", "cgroup v2"],
    ),
    (
        "a container's impossible name",
        Root,
        "run --container a/b",
        2,
        &["a/b", "docker ps"],
    ),
    (
        "the same container twice",
        Root,
        "run --container a --container a",
        2,
        &["\"a\""],
    ),
    (
        "a DOCKER_HOST that is none",
        Docker("carrier://pigeon"),
        "run --container a",
        2,
        &["DOCKER_HOST", "carrier://pigeon", "unix://"],
    ),
    (
        "a socket's path too long",
        Root,
        "--socket @/LONG status",
        2,
        &["cannot be an agent's socket", "--socket"],
    ),
    (
        "a socket below a file",
        Root,
        "--socket @/key.toml/s status",
        2,
        &["key.toml/s", "--socket"],
    ),
    (
        "a socket that is none",
        Root,
        "--socket @/key.toml status",
        4,
        &["no agent answers", "sudo metamcp-guard run"],
    ),
    (
        "a folder in the socket's place",
        Root,
        "--socket @ status",
        4,
        &["no agent answers"],
    ),
    (
        "a full disk",
        After("exec >/dev/full"),
        "config show",
        1,
        &["standard output", "No space"],
    ),
    (
        "/run cannot be written",
        After("mount -t tmpfs -o ro tmpfs /run"),
        "run",
        1,
        &["/run/metamcp-guard", "Read-only", "writable"],
    ),
    (
        "no cgroups",
        After(
            "while grep -q ' - cgroup' /proc/self/mountinfo; do umount -l \
        $(grep ' - cgroup' /proc/self/mountinfo | cut -d' ' -f5 | tail -1); done",
        ),
        "run",
        5,
        &["no cgroups are mounted", "mount -t cgroup2"],
    ),
    (
        "another time",
        After("exec unshare --time --boottime 86400 --fork \"$@\""),
        "run --observe",
        5,
        &["time namespace", "86400 s", "host's"],
    ),
    (
        "no BTF",
        After("mount --bind /dev/null /sys/kernel/btf/vmlinux"),
        "run --observe",
        5,
        &["/sys/kernel/btf/vmlinux", "damaged"],
    ),
    (
        "half of the BTF",
        After(
            "mount -t tmpfs tmpfs /mnt; head -c 300000 /sys/kernel/btf/vmlinux >/mnt/b; \
        mount --bind /mnt/b /sys/kernel/btf/vmlinux",
        ),
        "run --observe",
        5,
        &["/sys/kernel/btf/vmlinux", "damaged"],
    ),
    (
        "no kernel types at all",
        After("mount -t tmpfs tmpfs /sys/kernel/btf"),
        "run --observe",
        5,
        &[
            "cannot read /sys/kernel/btf/vmlinux",
            "CONFIG_DEBUG_INFO_BTF",
        ],
    ),
];

const TARGET: &str = "[[target]]\ncontainer = \"a\"\n";

/// Every row, in some milliseconds each. All that is wrong is said together.
pub fn every_row() -> Result<()> {
    let folder = Folder::new()?;
    let at = folder.path();
    let sockets = make(&folder)?;
    let mut wrong = String::new();
    for (what, by, words, code, expected) in ROWS {
        let long = "x".repeat(120);
        let fill = |word: &str| {
            word.replace('@', &at.display().to_string())
                .replace("LONG", &long)
        };
        let words: Vec<String> = words.split_whitespace().map(fill).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = of(by, at, &words)?;
        let ended = finish(&mut command).with_context(|| (*what).to_owned())?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let missing = expected.iter().map(|word| fill(word));
        // Where it is wrapped, a word of the message may end a line.
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let missing: Vec<_> = missing.filter(|word| !flat.contains(word)).collect();
        if ended.status.code() != Some(*code) || !missing.is_empty() || said.contains("panicked") {
            wrong += &format!(
                "{what}: ended with {} ({code}), without {missing:?}: {said}\n",
                ended.status
            );
        }
    }
    drop(sockets);
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

fn of(by: &By, at: &Path, words: &[&str]) -> Result<Command> {
    let mut all = match by {
        Root => command(words)?,
        Docker(host) => {
            let mut all = command(words)?;
            all.env("DOCKER_HOST", host);
            all
        }
        After(script) => apart(script, words)?,
        Nobody => {
            let mut all = Command::new(at.join("metamcp-guard"));
            all.args(words).uid(NOBODY).gid(NOBODY);
            all
        }
    };
    all.env("NO_COLOR", "1");
    Ok(all)
}

/// The files that rows name, and a socket that is root's.
fn make(folder: &Folder) -> Result<UnixListener> {
    let at = folder.path();
    fs::copy(
        place::program("GUARD_AGENT", "metamcp-guard")?,
        at.join("metamcp-guard"),
    )?;
    let metamcp = format!("{TARGET}profile = \"metamcp\"\n");
    let files = [
        ("roots.toml", String::new()),
        ("key.toml", "agent_timeot = \"3s\"\n".to_owned()),
        (
            "type.toml",
            format!("{TARGET}[target.gate]\nmax_processes = [7]\n"),
        ),
        (
            "levels.toml",
            format!("{metamcp}[target.processes]\nwarning = 40\ncritical = 40\n"),
        ),
        (
            "regex.toml",
            format!("{TARGET}protect = ['node (server']\n"),
        ),
        ("large.toml", "# nothing\n".repeat(1 << 20)),
        (
            "pids.toml",
            format!("{metamcp}[target.limits]\npids = 25\n"),
        ),
        (
            "nproc.toml",
            format!("{metamcp}[target.limits]\nnproc = 100\n"),
        ),
    ];
    for (name, text) in files {
        folder.file(name, &text)?;
    }
    fs::write(at.join("bytes.toml"), b"mode = \"observe\"\n\xff\xfe\n")?;
    fs::set_permissions(at.join("roots.toml"), Permissions::from_mode(0o600))?;
    let socket = UnixListener::bind(at.join("roots.sock"))?;
    fs::set_permissions(at.join("roots.sock"), Permissions::from_mode(0o600))?;
    Ok(socket)
}
