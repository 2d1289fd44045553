//! What was said of a target last.

use super::{Event, Found, Target};

/// What was said of a target last.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// That the container is expected.
    Expected(String),
    /// That it runs here.
    Appeared(Found),
    /// That the container cannot be guarded, and why.
    Refused(String, String),
}

impl Said {
    /// The container it was said of.
    pub fn id(&self) -> Option<&String> {
        match self {
            Self::Expected(id) | Self::Refused(id, _) => Some(id),
            Self::Appeared(found) => found.container.as_ref(),
        }
    }

    /// To say it.
    pub fn event(&self, target: &Target) -> Event {
        let target = target.clone();
        match self {
            Self::Expected(id) => Event::Expected {
                target,
                container: id.clone(),
            },
            Self::Appeared(found) => Event::Appeared {
                target,
                found: found.clone(),
            },
            Self::Refused(_, why) => Event::Refused {
                target,
                why: why.clone(),
            },
        }
    }
}
