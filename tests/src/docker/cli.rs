//! `docker`, speaking to one daemon.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::run;

/// How to speak to a daemon.
#[derive(Clone, Debug)]
pub struct Docker {
    host: String,
    /// A folder without anyone's credentials.
    config: PathBuf,
}

impl Docker {
    /// Speaks to the daemon at `host`, with no configuration of the user's.
    #[must_use]
    pub fn at(host: String, config: &Path) -> Self {
        Self {
            host,
            config: config.to_owned(),
        }
    }

    /// What `DOCKER_HOST` must be to reach it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A command of `docker`, killed after so many seconds.
    #[must_use]
    pub fn command(&self, seconds: u32, arguments: &[&str]) -> Command {
        let mut command = run::command(seconds, "docker");
        command
            .args(arguments)
            .env("DOCKER_HOST", &self.host)
            .env("DOCKER_CONFIG", &self.config);
        command.stdin(Stdio::null());
        command
    }

    /// Runs `docker` to its end, at most two minutes; gives what it said.
    ///
    /// # Errors
    /// It failed, or took longer.
    pub fn output(&self, arguments: &[&str]) -> Result<String> {
        run::output(&mut self.command(120, arguments))
    }

    /// Whether the daemon answers.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.command(20, &["version"])
            .output()
            .is_ok_and(|output| output.status.success())
    }
}
