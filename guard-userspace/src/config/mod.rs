//! The configuration: TOML to [`Config`], every key checked, every error with its line and a fix.
//!
//! `raw` is the file as written, `profile` what holds without it, `apply` lays one over the other,
//! `relations` finds contradictions. Nothing here reads files: the text comes in as bytes.

mod apply;
pub mod checked;
pub mod docker_limits;
pub mod error;
pub mod gate;
mod lists;
mod notify;
mod overlay;
mod profile;
pub mod protocol;
mod raw;
mod relations;
mod source;
mod tables;
pub mod units;

pub use checked::{Config, Mode, Profile, TargetConfig, TargetSource};
pub use error::{ConfigError, Problem};
pub use gate::{Cap, DenyErrno, GateConfig, Rung};

use miette::{NamedSource, Severity};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// A configuration that can be used, and what is unwise about it.
#[derive(Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// Problems that do not forbid it.
    pub warnings: Vec<Problem>,
}

/// Checks the text of a file called `name`. `mount` is where cgroup v2 is mounted, if known:
/// without it a cgroup's path is checked for its form alone.
///
/// # Errors
/// All that is wrong with it; of a text that is no TOML, or has unknown keys or wrong types, the
/// first such thing.
pub fn read(name: &str, bytes: &[u8], mount: Option<&Path>) -> Result<Checked, ConfigError> {
    let text = text_of(name, bytes)?;
    let source = Arc::new(NamedSource::new(name, text));
    let file = toml::from_str(source.inner()).map_err(|error| ConfigError {
        problems: vec![Problem::of_toml(&error, &source)],
    })?;
    let mut overlay = overlay::Overlay::new(&source, mount);
    let config = apply::file(&mut overlay, file);
    let (problems, warnings): (Vec<_>, Vec<_>) = overlay
        .problems
        .into_iter()
        .partition(|problem| problem.severity == Severity::Error);
    if problems.is_empty() {
        Ok(Checked { config, warnings })
    } else {
        Err(ConfigError { problems })
    }
}

fn text_of(name: &str, bytes: &[u8]) -> Result<String, ConfigError> {
    let refuse = |problem| ConfigError {
        problems: vec![problem],
    };
    if bytes.len() > MAX_BYTES {
        return Err(refuse(too_large(name)));
    }
    String::from_utf8(bytes.to_vec()).map_err(|error| {
        let before = bytes
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let cause = format!("{name} is not UTF-8: line {line} has a byte that is no text");
        refuse(Problem::new(cause, "save the file as UTF-8"))
    })
}

/// What is said of a file above [`MAX_BYTES`], which need not be read for it.
#[must_use]
pub fn too_large(name: &str) -> Problem {
    let cause = format!("{name} is larger than 1 MiB");
    Problem::new(cause, "this is hardly the configuration: check the path")
}

impl Config {
    /// The same with the targets of a command line instead of its own; as it was if there are
    /// none. A container called `metamcp` gets the profile of its name.
    ///
    /// # Errors
    /// All names and paths that cannot be targets.
    pub fn with_targets(
        mut self,
        containers: &[String],
        cgroups: &[PathBuf],
        mount: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        if containers.is_empty() && cgroups.is_empty() {
            return Ok(self);
        }
        let containers = containers.iter().map(|name| source::container_named(name));
        let cgroups = cgroups.iter().map(|path| source::cgroup_at(path, mount));
        let mut targets: Vec<TargetConfig> = Vec::new();
        let mut problems = Vec::new();
        for source in containers.chain(cgroups) {
            match source.map(target_of) {
                Err(problem) => problems.push(problem),
                Ok(target) if targets.iter().any(|other| other.name == target.name) => {
                    let cause = format!("two targets are named \"{}\"", target.name);
                    let fix = "name each once; two cgroups with the same last part need a file \
                               with a `name` for each";
                    problems.push(Problem::new(cause, fix));
                }
                Ok(target) => targets.push(target),
            }
        }
        if targets.len() > checked::MAX_TARGETS {
            let cause = format!("{} targets; 500 can be guarded at once", targets.len());
            problems.push(Problem::new(
                cause,
                "guard their common parent as one cgroup target",
            ));
        }
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        self.targets = targets;
        Ok(self)
    }
}

fn target_of(source: TargetSource) -> TargetConfig {
    let profile = match &source {
        TargetSource::Container(name) if name == "metamcp" => Profile::Metamcp,
        _ => Profile::Generic,
    };
    TargetConfig::of(source, profile)
}

#[cfg(test)]
mod tests;
