//! A container of one test's own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Docker, Parent, machine, run};
use crate::{Folder, place};

/// A container. Dropped, it is removed with all that runs in it.
#[derive(Debug)]
pub struct Container {
    docker: Docker,
    id: String,
    name: String,
}

impl Container {
    /// `docker create`, in `parent`, with more options and the image and command behind them.
    ///
    /// # Errors
    /// Docker's.
    pub fn create(docker: &Docker, parent: &Parent, name: &str, rest: &[&str]) -> Result<Self> {
        let place = parent.docker_path();
        let options = [
            "create",
            "--name",
            name,
            "--cgroup-parent",
            &place,
            "--network",
            "host",
            // For what ignores SIGTERM, as a shell does that is PID 1.
            "--stop-timeout",
            "1",
        ];
        let id = docker.output(&[&options, rest].concat())?;
        Ok(Self {
            docker: docker.clone(),
            id,
            name: name.to_owned(),
        })
    }

    /// [`Self::create`] and [`Self::start`].
    ///
    /// # Errors
    /// Docker's.
    pub fn run(docker: &Docker, parent: &Parent, name: &str, rest: &[&str]) -> Result<Self> {
        let container = Self::create(docker, parent, name, rest)?;
        container.start()?;
        Ok(container)
    }

    /// One that something else made, to be removed with this.
    #[must_use]
    pub fn adopt(docker: &Docker, id: &str, name: &str) -> Self {
        Self {
            docker: docker.clone(),
            id: id.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Its id, 64 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name it was made with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Copies files, each with its text, below a folder of it, before its start or later. All may be
    /// executed.
    ///
    /// # Errors
    /// Docker's.
    pub fn give(&self, place: &str, files: &[(&str, &str)]) -> Result<()> {
        let folder = Folder::new()?;
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().context("a file at /")?)?;
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        self.copy(&folder, place)
    }

    /// Copies what is in a folder of the host.
    fn copy(&self, folder: &Folder, place: &str) -> Result<()> {
        let from = format!("{}/.", folder.path().display());
        let to = format!("{}:{place}", self.id);
        self.docker.output(&["cp", &from, &to]).map(drop)
    }

    /// Makes symbolic links below a folder of it, each with what it points to.
    ///
    /// # Errors
    /// Docker's.
    pub fn link(&self, place: &str, links: &[(String, &str)]) -> Result<()> {
        let folder = Folder::new()?;
        for (name, target) in links {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().context("a link at /")?)?;
            symlink(target, &path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        self.copy(&folder, place)
    }

    /// Starts it.
    ///
    /// # Errors
    /// Docker's.
    pub fn start(&self) -> Result<()> {
        self.docker.output(&["start", &self.id]).map(drop)
    }

    /// Runs `docker VERB … ID`.
    ///
    /// # Errors
    /// Docker's.
    pub fn tell(&self, verb: &[&str]) -> Result<String> {
        self.docker.output(&[verb, &[&self.id]].concat())
    }

    /// Runs a command in it by `docker exec`; gives what it said.
    ///
    /// # Errors
    /// Docker's, or the command's.
    pub fn exec(&self, command: &[&str]) -> Result<String> {
        self.docker.output(&[&["exec", &self.id], command].concat())
    }

    /// What its init wrote, to standard output and standard error.
    ///
    /// # Errors
    /// Docker's.
    pub fn logs(&self) -> Result<String> {
        run::all_output(&mut self.docker.command(60, &["logs", &self.id]))
    }

    /// A field of `docker inspect`, as a Go template.
    ///
    /// # Errors
    /// Docker's.
    pub fn inspect(&self, field: &str) -> Result<String> {
        self.docker
            .output(&["inspect", "--format", field, &self.id])
    }

    /// Its init's pid on the host.
    ///
    /// # Errors
    /// Docker's, or it does not run.
    pub fn pid(&self) -> Result<u32> {
        self.inspect("{{.State.Pid}}")?.parse().context("a pid")
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// Docker's.
    pub fn runs(&self) -> Result<bool> {
        Ok(self.inspect("{{.State.Running}}")? == "true")
    }

    /// Processes, as `docker top` lists them, zombies not counted.
    ///
    /// # Errors
    /// Docker's.
    pub fn top(&self) -> Result<u64> {
        let listed = self.docker.output(&["top", &self.id, "-eo", "pid,stat"])?;
        let alive = listed.lines().skip(1).filter(|line| !line.contains('Z'));
        Ok(u64::try_from(alive.count())?)
    }

    /// Tasks, as `docker stats` counts them.
    ///
    /// # Errors
    /// Docker's.
    pub fn tasks(&self) -> Result<u64> {
        let count =
            self.docker
                .output(&["stats", "--no-stream", "--format", "{{.PIDs}}", &self.id])?;
        count
            .parse()
            .with_context(|| format!("docker stats said {count:?}"))
    }

    /// Its cgroup in the v2 hierarchy.
    ///
    /// # Errors
    /// No v2 hierarchy.
    pub fn cgroup(&self, parent: &Parent) -> Result<PathBuf> {
        let below = parent.docker_path();
        let name = if machine::is_systemd() {
            format!("docker-{}.scope", self.id)
        } else {
            self.id.clone()
        };
        Ok(place::cgroup_root()?
            .join(below.trim_start_matches('/'))
            .join(name))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // By id: another container may have the name by now. One that the test removed is no loss.
        if let Err(error) = self.docker.output(&["rm", "-f", &self.id])
            && !error.to_string().contains("No such container")
        {
            eprintln!("test kit: {error:#}");
        }
    }
}
