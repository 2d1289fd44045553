//! One virtual machine from power-on to verdict.
//!
//! The kernel's console goes to a file. The second serial port carries what the command prints
//! and at the end the verdict, so that no kernel message can tear a line of it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lines::follow;
use crate::workspace;

/// `vm-init` prints it first: from here on a failure is ours, not TCG's.
const UP: &str = "@@vm-init: up@@";
/// `vm-init` prints it last, with the exit code.
const VERDICT: &str = "@@vm-init: exit ";

/// What the kernel prints when it is in trouble.
const MARKERS: [&str; 7] = [
    "Kernel panic",
    "BUG:",
    "Oops",
    "soft lockup",
    "blocked for more than",
    "rcu_preempt detected stalls",
    "Out of memory",
];

/// A machine to be run once.
pub struct Machine<'a> {
    /// A bzImage.
    pub kernel: &'a Path,
    /// Our initramfs.
    pub initrd: &'a Path,
    /// Kernel parameters beside ours.
    pub parameters: &'a str,
    /// Megabytes.
    pub memory: u32,
    /// At least one.
    pub cpus: u32,
    /// From power-on to verdict.
    pub timeout: Duration,
}

/// One line for the user.
pub enum Line<'a> {
    /// The command printed it.
    Output(&'a str),
    /// We say it.
    Notice(&'a str),
}

/// The command's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; 128 + N for signal N.
    pub code: i32,
}

/// How a run went that gave no verdict.
struct NoVerdict {
    init_spoke: bool,
    timed_out: bool,
}

impl Machine<'_> {
    /// Boots and waits for the verdict. A machine whose init never spoke is tried once more: under
    /// TCG one boot in a hundred panics before user space. After that nothing is retried.
    pub fn run(&self, each: &mut dyn FnMut(Line<'_>)) -> Result<Ended> {
        for last in [false, true] {
            let console = workspace::logs().join("vm-console.log");
            fs::create_dir_all(workspace::logs())?;
            let outcome = self.run_once(&console, each)?;
            let text = fs::read(&console).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            for line in trouble(&text) {
                each(Line::Notice(&format!("the machine's kernel said: {line}")));
            }
            match outcome {
                Ok(ended) => return Ok(ended),
                Err(NoVerdict {
                    init_spoke: false, ..
                }) if !last => {
                    each(Line::Notice(
                        "the machine died before its init: trying once more",
                    ));
                }
                Err(none) => bail!("{}", self.explain(&none, &text, &console)),
            }
        }
        bail!("the machine gave no verdict twice")
    }

    fn run_once(
        &self,
        console: &Path,
        each: &mut dyn FnMut(Line<'_>),
    ) -> Result<Result<Ended, NoVerdict>> {
        let deadline = Instant::now() + self.timeout;
        let mut qemu = Running(self.command(console).spawn().context("cannot start QEMU")?);
        let lines = follow(
            qemu.0
                .stdout
                .take()
                .context("QEMU has no standard output")?,
        );
        let mut none = NoVerdict {
            init_spoke: false,
            timed_out: false,
        };
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line == UP => none.init_spoke = true,
                Ok(line) => match verdict(&line) {
                    Some(code) => {
                        qemu.wait_until(Instant::now() + Duration::from_secs(10));
                        return Ok(Ok(Ended { code }));
                    }
                    None => each(Line::Output(&line)),
                },
                Err(RecvTimeoutError::Timeout) => {
                    none.timed_out = true;
                    return Ok(Err(none));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(Err(none)),
            }
        }
    }

    fn command(&self, console: &Path) -> Command {
        // `nokmem`: the first memory cgroup else patches each kmem_cache_alloc while all run, and an
        // emulated CPU that meets the breakpoint after it was taken away dies of "Oops: int3" (2 of 5
        // runs with dockerd, 6.12).
        let parameters = format!(
            "console=ttyS0 quiet panic=-1 tsc=reliable nokaslr mitigations=off \
             random.trust_cpu=on cgroup.memory=nokmem {}",
            self.parameters
        );
        let mut command = Command::new("qemu-system-x86_64");
        // KVM is not asked for: where it is present and broken it fails late, and TCG is the same
        // everywhere.
        command
            .args([
                "-accel",
                "tcg,thread=multi",
                "-cpu",
                "max",
                "-smp",
                &self.cpus.max(1).to_string(),
                "-m",
                &self.memory.to_string(),
            ])
            .args([
                "-nodefaults",
                "-display",
                "none",
                "-monitor",
                "none",
                "-no-reboot",
            ])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initrd)
            .args(["-append", parameters.trim()])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .args(["-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }

    fn explain(&self, none: &NoVerdict, console: &str, log: &Path) -> String {
        let what = match (none.timed_out, none.init_spoke) {
            (true, true) => format!(
                "the command still ran after {} s and the machine was ended: a hang, or too short \
                 a --timeout",
                self.timeout.as_secs()
            ),
            (true, false) => format!(
                "the machine hung before its init: nothing for {} s",
                self.timeout.as_secs()
            ),
            (false, true) => "the machine died while the command ran".to_owned(),
            (false, false) => "the machine died before its init, twice".to_owned(),
        };
        let tail: Vec<&str> = console.lines().rev().take(15).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        format!(
            "{what}; its console is in {}, the end is:\n{}",
            log.display(),
            tail.join("\n")
        )
    }
}

/// A QEMU of ours, which never outlives us.
struct Running(Child);

impl Running {
    /// A powered-off machine leaves by itself; one that does not is ended by `Drop`.
    fn wait_until(&mut self, deadline: Instant) {
        while Instant::now() < deadline && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// The exit code in the last line of `vm-init`.
fn verdict(line: &str) -> Option<i32> {
    line.strip_prefix(VERDICT)?.strip_suffix("@@")?.parse().ok()
}

/// The console lines in which the kernel says that it is in trouble; at most ten.
fn trouble(console: &str) -> Vec<&str> {
    console
        .lines()
        .filter(|line| MARKERS.iter().any(|marker| line.contains(marker)))
        .take(10)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_inits_own_line_is_a_verdict() {
        assert_eq!(verdict("@@vm-init: exit 0@@"), Some(0));
        assert_eq!(verdict("@@vm-init: exit 137@@"), Some(137));
        assert_eq!(verdict("x @@vm-init: exit 0@@"), None);
        assert_eq!(verdict("@@vm-init: exit @@"), None);
        assert_eq!(verdict(UP), None);
    }

    #[test]
    fn a_panic_is_found_in_the_console() {
        let console = "[ 1.0] usual\n[ 2.0] Kernel panic - not syncing: x\n";
        assert_eq!(trouble(console), ["[ 2.0] Kernel panic - not syncing: x"]);
        assert!(trouble("[ 1.0] usual").is_empty());
    }
}
