//! A program at its hook, held by a descriptor, and by a pin where it is to outlive the agent.

use super::pins::{PinError, Pins};
use super::raw;
use aya::programs::ProgramInfo;
use aya::programs::links::{FdLink, PinnedLink};
use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Dropped, it is detached, unless it is pinned.
#[derive(Debug)]
pub struct Hook {
    name: String,
    program: OwnedFd,
    /// Our own descriptor, or a pinned one: closed when this is dropped, and not used.
    _link: Box<dyn Any + Send>,
}

fn failed(name: &str) -> impl Fn(&dyn std::fmt::Display) -> PinError {
    move |why| PinError::Pin {
        name: name.to_owned(),
        why: why.to_string(),
    }
}

impl Hook {
    /// Of a link that aya has made.
    ///
    /// # Errors
    /// It cannot be pinned.
    pub fn of(
        pins: Option<&Pins>,
        name: &str,
        program: BorrowedFd<'_>,
        link: FdLink,
    ) -> Result<Self, PinError> {
        let failed = failed(name);
        let program = program.try_clone_to_owned().map_err(|e| failed(&e))?;
        let link: Box<dyn Any + Send> = match pins {
            None => Box::new(link),
            Some(pins) => {
                raw::pin(program.as_fd(), &pins.program(name)).map_err(|e| failed(&e))?;
                Box::new(link.pin(pins.link(name)).map_err(|e| failed(&e))?)
            }
        };
        let name = name.to_owned();
        Ok(Self {
            name,
            program,
            _link: link,
        })
    }

    /// Of a link that bpf(2) has made.
    ///
    /// # Errors
    /// It cannot be pinned.
    pub fn of_raw(
        pins: Option<&Pins>,
        name: &str,
        program: OwnedFd,
        link: OwnedFd,
    ) -> Result<Self, PinError> {
        let failed = failed(name);
        if let Some(pins) = pins {
            raw::pin(program.as_fd(), &pins.program(name)).map_err(|e| failed(&e))?;
            raw::pin(link.as_fd(), &pins.link(name)).map_err(|e| failed(&e))?;
        }
        let name = name.to_owned();
        Ok(Self {
            name,
            program,
            _link: Box::new(link),
        })
    }

    /// One that an earlier agent has pinned; `None`: it has not, or not all of it.
    #[must_use]
    pub fn found(pins: &Pins, name: &str) -> Option<Self> {
        let link = PinnedLink::from_pin(pins.link(name)).ok()?;
        let program = ProgramInfo::from_pin(pins.program(name)).ok()?.fd().ok()?;
        let program = program.as_fd().try_clone_to_owned().ok()?;
        let name = name.to_owned();
        Some(Self {
            name,
            program,
            _link: Box::new(link),
        })
    }

    /// The program's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// Takes it away, pinned or not.
    pub fn detach(self, pins: Option<&Pins>) {
        let Some(pins) = pins else { return };
        for path in [pins.link(&self.name), pins.program(&self.name)] {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::debug!(%error, "detaching {}", path.display());
            }
        }
    }
}
