//! The host's Java, mounted into a container: its files are more than the rest of the image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{image, run};

/// A Java runtime.
#[derive(Clone, Debug)]
pub struct Java {
    home: PathBuf,
}

impl Java {
    /// The one in PATH.
    ///
    /// # Errors
    /// There is none.
    pub fn of_host() -> Result<Self> {
        let program =
            run::which("java").context("no java: apt-get install default-jre-headless")?;
        let program = program.canonicalize()?;
        let home = program.ancestors().nth(2).context("java is not in bin")?;
        Ok(Self {
            home: home.to_owned(),
        })
    }

    /// Its program, on the host and in a container with [`Self::options`].
    #[must_use]
    pub fn program(&self) -> String {
        self.home.join("bin/java").display().to_string()
    }

    /// Options of `docker create` that bring it in, unchangeable.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let mut folders = vec![self.home.clone()];
        // Debian keeps its settings in /etc and links to them.
        let settings = fs::read_link(self.home.join("lib/jvm.cfg")).ok();
        folders.extend(
            settings
                .as_deref()
                .and_then(Path::parent)
                .map(Path::to_owned),
        );
        let mount = |folder: &PathBuf| {
            let folder = folder.display();
            ["-v".to_owned(), format!("{folder}:{folder}:ro")]
        };
        folders.iter().flat_map(mount).collect()
    }
}

/// Copies what it is linked with into the image.
pub(super) fn libraries(root: &Path) -> Result<()> {
    let java = Java::of_host()?;
    for file in ["bin/java", "lib/server/libjvm.so"] {
        image::libraries(&java.home.join(file), root)?;
    }
    Ok(())
}
