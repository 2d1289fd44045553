//! What is noted of a container before it is stopped, so that this agent or a later one can bring to an
//! end what was begun.

use super::Scene;
use super::recreate::short;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A container whose restart or recreation was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Its id.
    pub container: String,
    /// Its name, without the slash.
    pub name: String,
    /// It ran.
    pub ran: bool,
    /// The id of the one that is to take its place, once it is made.
    #[serde(default)]
    pub new: Option<String>,
    /// Compose makes that one.
    #[serde(default)]
    pub by_compose: bool,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Begun {
    /// From now on.
    pub fn now(container: &str, name: &str, ran: bool) -> Self {
        Self {
            container: container.to_owned(),
            name: name.trim_start_matches('/').to_owned(),
            ran,
            new: None,
            by_compose: false,
            at_ms: now_ms(),
        }
    }

    /// How long ago that was.
    pub fn age(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.at_ms))
    }

    /// The name that the guard gives it, while the new one has its own.
    pub fn aside(&self) -> String {
        format!("{}-guard-old", self.name)
    }

    /// The name that the guard gives the new one until then.
    pub fn beside(&self) -> String {
        format!("{}-guard-new", self.name)
    }

    /// Whether such a name is given by the guard, or by Compose, to a container that is being replaced.
    pub fn is_set_aside(&self, name: &str) -> bool {
        let by_compose = format!("{}_{}", short(&self.container), self.name);
        name == self.aside() || name == by_compose
    }

    /// Notes it.
    pub fn note(&self, scene: &Scene) {
        scene.begun.keep(&Some(self.clone()));
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_guard_or_compose_gives_are_set_aside() {
        let begun = Begun::now("0123456789abcdef", "/web", true);
        assert_eq!(
            (begun.name.as_str(), begun.beside().as_str()),
            ("web", "web-guard-new")
        );
        for (name, expected) in [
            ("web-guard-old", true),
            ("0123456789ab_web", true),
            ("web", false),
            ("web-old", false),
            ("fedcba987654_web", false),
            ("other-guard-old", false),
        ] {
            assert_eq!(begun.is_set_aside(name), expected, "{name}");
        }
        let text = serde_json::to_string(&begun).unwrap();
        assert_eq!(serde_json::from_str::<Begun>(&text).unwrap(), begun);
    }
}
