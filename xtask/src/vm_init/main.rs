//! The first program of a test VM: mounts, runs one command, says how it ended, powers off.
//!
//! It speaks over the second serial port alone; `cargo xtask vm` reads there (`vm/qemu.rs` has the
//! same two marks).

mod cgroups;
mod loopback;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, finit_module, reboot};

/// Source and type, then place: all that agent and tests read or write, but the cgroups.
const MOUNTS: [(&str, &str); 9] = [
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
    ("devpts", "/dev/pts"),
    ("tracefs", "/sys/kernel/tracing"),
    ("bpf", "/sys/fs/bpf"),
    ("securityfs", "/sys/kernel/security"),
];

/// Where the image has it, it is the first process, and starts this program again as its service.
const SYSTEMD: &str = "/lib/systemd/systemd";

fn main() {
    if std::process::id() == 1 && Path::new(SYSTEMD).is_file() {
        let error = Command::new(SYSTEMD).exec();
        eprintln!("vm-init: {SYSTEMD}: {error}");
    }
    let mut port = None;
    let code = match prepare(&mut port).and_then(|port| run(&port)) {
        Ok(code) => code,
        Err(why) => {
            if let Some(port) = &mut port {
                let _ = writeln!(port, "vm-init: {why}");
            }
            eprintln!("vm-init: {why}");
            126
        }
    };
    if let Some(port) = &mut port {
        let _ = writeln!(port, "@@vm-init: exit {code}@@");
        // The port is slow and a power-off does not wait for it.
        let _ = rustix::termios::tcdrain(&*port);
    }
    let _ = reboot(RebootCommand::PowerOff);
}

/// Mounts everything and opens the port, which `port` keeps for the verdict.
fn prepare(port: &mut Option<File>) -> Result<File, String> {
    for (kind, place) in MOUNTS {
        if mounted(place) {
            continue;
        }
        let _ = fs::create_dir_all(place);
        // A kernel without one of them shows in the command, not here.
        let _ = mount(kind, place, kind, MountFlags::empty(), None);
    }
    cgroups::mount_all();
    let opened = File::options()
        .read(true)
        .write(true)
        .open("/dev/ttyS1")
        .map_err(|error| format!("no second serial port: {error}"))?;
    let mut ours = opened.try_clone().map_err(|error| error.to_string())?;
    let _ = writeln!(ours, "@@vm-init: up@@");
    *port = Some(ours);
    if let Err(error) = loopback::up() {
        eprintln!("vm-init: the loopback device stays down: {error}");
    }
    modules()?;
    Ok(opened)
}

/// Whether systemd has been there before us.
pub fn mounted(place: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(place))
}

/// Loads the image's modules. The kernel unpacks them itself (`MODULE_INIT_COMPRESSED_FILE`).
fn modules() -> Result<(), String> {
    const COMPRESSED: i32 = 4;
    let Ok(entries) = fs::read_dir("/vm/modules") else {
        return Ok(());
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let file = File::open(&path).map_err(|error| told(&error))?;
        finit_module(&file, c"", COMPRESSED).map_err(|error| told(&error))?;
    }
    Ok(())
}

/// Runs the command of the image and returns its exit code, 128 + N for signal N.
fn run(port: &File) -> Result<i32, String> {
    let words = words("/vm/command")?;
    let (program, arguments) = words.split_first().ok_or("the image has no command")?;
    let output = || port.try_clone().map_err(|error| error.to_string());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("PATH", "/payload:/usr/bin:/usr/sbin:/bin:/sbin")
        .env("HOME", "/root")
        .current_dir("/tmp")
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?);
    for variable in self::words("/vm/environment")? {
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
    }
    let child = command
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    reap(child.id())
}

/// Waits for the command, and for all that is left to us by it: we are everybody's last parent.
fn reap(command: u32) -> Result<i32, String> {
    loop {
        let (pid, status) = wait(WaitOptions::empty())
            .map_err(|error| format!("wait: {error}"))?
            .ok_or("wait returned nothing")?;
        if pid.as_raw_nonzero().get().unsigned_abs() == command {
            let status = ExitStatus::from_raw(status.as_raw());
            return Ok(status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        }
    }
}

/// The words of a file, each ended by NUL.
fn words(path: &str) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(text.split_terminator('\0').map(str::to_owned).collect())
}
