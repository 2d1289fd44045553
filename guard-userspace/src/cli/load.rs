//! Reads the configuration file, bounded, and puts the command line's targets in.

use super::args::{ConfigFile, DEFAULT_CONFIG};
use super::exit::{Code, Failure};
use crate::config::{self, Checked, Config, ConfigError, MAX_BYTES};
use crate::evidence::cgroup;
use anyhow::anyhow;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// A configuration that can be used, and where it is from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration with its warnings.
    pub checked: Checked,
    /// The file; `None`: there is none, the defaults hold.
    pub file: Option<PathBuf>,
}

/// Reads and checks the file named, or the one in /etc if there is one, or else takes the
/// defaults. May be called again while the agent runs, to take a changed file.
///
/// # Errors
/// [`Code::Usage`] for a file that is wrong or was named and is not there,
/// [`Code::NoPermission`] for one that may not be read.
pub fn load(from: &ConfigFile) -> Result<Loaded, Failure> {
    let path = from.path.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound && from.path.is_none() => {
            let config = Config::default();
            let checked = Checked {
                config,
                warnings: Vec::new(),
            };
            return Ok(Loaded {
                checked,
                file: None,
            });
        }
        Err(error) => return Err(unreadable(path, &error)),
    };
    let name = path.display().to_string();
    // Without a mount a path's form alone is checked; `doctor` says what is wrong with the mount.
    let mount = cgroup::cgroup_v2_mount().ok();
    let checked = config::read(&name, &bytes, mount.as_deref())?;
    let file = Some(path.to_owned());
    Ok(Loaded { checked, file })
}

/// Puts the targets of a command line in the place of the file's, if there are any.
///
/// # Errors
/// [`Code::Usage`]: names and paths that cannot be targets.
pub fn with_targets(
    config: Config,
    containers: &[String],
    cgroups: &[PathBuf],
) -> Result<Config, ConfigError> {
    let mount = cgroup::cgroup_v2_mount().ok();
    config.with_targets(containers, cgroups, mount.as_deref())
}

/// At most one byte more than is allowed: enough to see that it is too long.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => Failure::new(
            Code::NoPermission,
            anyhow!("cannot read {shown}: {error}; run it as root (sudo)"),
        ),
        ErrorKind::NotFound => Failure::new(
            Code::Usage,
            anyhow!(
                "there is no file {shown}; check the path, or leave --config out for the defaults"
            ),
        ),
        _ => Failure::new(
            Code::Usage,
            anyhow!("cannot read {shown}: {error}; --config takes the path of a TOML file"),
        ),
    }
}
