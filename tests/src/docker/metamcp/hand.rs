//! What can be done to one instance from the host, beside the gateway.

use std::fs;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, kill_process, pidfd_getfd, pidfd_open,
};

use super::{AT_ONCE, MetaMcp, Process, asker, read};

impl MetaMcp {
    /// The pid that a root of this gateway has on the host.
    ///
    /// # Errors
    /// It has ended, or Docker's.
    pub fn host_pid(&self, process: &Process) -> Result<u32> {
        let listed = self.container.tell(&["top"])?;
        // UID, PID, …
        let pids = listed.lines().skip(1).filter_map(|line| {
            let pid = line.split_whitespace().nth(1)?;
            pid.parse::<u32>().ok()
        });
        let own = process.pid.to_string();
        let is_it = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let inside = status.lines().find(|line| line.starts_with("NSpid:"));
            inside.and_then(|line| line.split_whitespace().last()) == Some(&own)
        };
        pids.into_iter()
            .find(is_it)
            .with_context(|| format!("{process:?} has ended"))
    }

    /// Ends the input of an instance, so that it leaves by itself: exit 0, and no crash.
    ///
    /// # Errors
    /// It has ended, or the kernel's.
    pub fn end_input(&self, process: &Process) -> Result<()> {
        let pidfd = pidfd_open(self.pid(process)?, PidfdFlags::empty())?;
        // The whole tree shares the root's, and the gateway's own end is another socket.
        let input = pidfd_getfd(&pidfd, 0, PidfdGetfdFlags::empty()).context("its fd 0")?;
        let input = UnixStream::from(input);
        input.shutdown(Shutdown::Read).context("shutdown")
    }

    /// Has the gateway close its end of the input of a server's oldest instance in use, and remain its
    /// parent, as a client of the SDK does that ends it and waits. Gives the instance.
    ///
    /// # Errors
    /// No session has one, or no answer.
    pub fn hang_up(&self, server: &str) -> Result<Process> {
        let url = self.at(&format!("hangup/{server}"));
        let reply = asker(AT_ONCE).post(url).send_empty()?;
        read(reply)
    }

    /// Sends a signal to the root of an instance.
    ///
    /// # Errors
    /// It has ended, or the kernel's.
    pub fn signal(&self, process: &Process, signal: Signal) -> Result<()> {
        kill_process(self.pid(process)?, signal).with_context(|| format!("{signal:?}"))
    }

    fn pid(&self, process: &Process) -> Result<Pid> {
        let pid = i32::try_from(self.host_pid(process)?)?;
        Pid::from_raw(pid).context("a pid")
    }
}
