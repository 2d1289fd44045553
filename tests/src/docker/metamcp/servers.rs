//! The servers that a gateway is configured with: the official ones, by npx or by node alone.

use serde_json::{Value, json};

use super::layout::PLACE;
use crate::docker::image::{self, SERVERS};

/// Where npx keeps what it installs for servers that start cold.
pub(super) const COLD: &str = "/opt/cold";

/// One configured server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What the gateway calls it.
    pub name: String,
    command: String,
    arguments: Vec<String>,
}

impl Server {
    /// One that the gateway starts with this command.
    #[must_use]
    pub fn new(name: &str, command: &str, arguments: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            command: command.to_owned(),
            arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    /// So many by `npx -y`: three processes and 23 tasks each.
    #[must_use]
    pub fn npx(number: usize) -> Vec<Self> {
        several(number, |package| {
            ("npx", vec!["-y".to_owned(), package.to_owned()])
        })
    }

    /// So many by `npx -y`, each of which npx has to install first. Each has a folder of its own for
    /// that, as so many different packages have; they share npm's cache of what was downloaded.
    #[must_use]
    pub fn cold(number: usize) -> Vec<Self> {
        let mut servers = Self::npx(number);
        for (index, server) in servers.iter_mut().enumerate() {
            let cache = format!("--cache={COLD}/{index}");
            server.arguments.insert(1, cache);
        }
        servers
    }

    /// A server with eleven processes below it, as a browser has: there before it answers
    /// `initialize`, or, if it is `late`, before its first `tools/list`.
    #[must_use]
    pub fn browser(name: &str, late: bool) -> Self {
        let script = format!("{PLACE}/browser.js");
        let when = if late { "late" } else { "early" };
        Self::new(name, "node", &[&script, when])
    }

    /// One with a habit, which is its name (`tests/gateways/odd.py`): `lazy`, `heaps` or `deaf`. One
    /// process.
    #[must_use]
    pub fn odd(habit: &str) -> Self {
        Self::new(habit, "python3", &[&format!("{PLACE}/{habit}.py"), habit])
    }

    /// The link that its cold cache needs below [`COLD`], with its target.
    pub(super) fn cold_link(&self) -> Option<(String, &'static str)> {
        let mut options = self.arguments.iter();
        let cache = options.find_map(|one| one.strip_prefix("--cache="))?;
        let cache = cache.strip_prefix(COLD)?.trim_start_matches('/');
        Some((format!("{cache}/_cacache"), "/opt/npm/_cacache"))
    }

    /// So many by node alone: one process and 11 tasks each, for what need not be large.
    #[must_use]
    pub fn node(number: usize) -> Vec<Self> {
        several(number, |package| ("node", vec![image::script(package)]))
    }

    /// Its entry in the gateway's configuration.
    pub(super) fn entry(&self) -> (String, Value) {
        let server = json!({"command": self.command, "args": self.arguments});
        (self.name.clone(), server)
    }
}

/// The image's servers in turn. Each has a command line of its own, as ten different servers have:
/// those beyond the image's four are one of the first three with a further argument.
fn several(number: usize, start: impl Fn(&str) -> (&'static str, Vec<String>)) -> Vec<Server> {
    // The last, `everything`, takes no argument that it does not know.
    let further = SERVERS.iter().take(3).cycle();
    let each = SERVERS.iter().chain(further).take(number).enumerate();
    let server = |(index, (package, needs)): (usize, &(&str, &[&str]))| {
        let (command, mut arguments) = start(package);
        arguments.extend(needs.iter().map(|one| (*one).to_owned()));
        let (_, name) = package.rsplit_once("server-").unwrap_or(("", package));
        let name = name.split('@').next().unwrap_or(name);
        let mut name = name.to_owned();
        if index >= SERVERS.len() {
            // A folder that the file server can open; the others do not read it.
            arguments.push(if package.contains("filesystem") {
                "/root".to_owned()
            } else {
                format!("number-{index}")
            });
            name = format!("{name}-{index}");
        }
        Server {
            name,
            command: command.to_owned(),
            arguments,
        }
    };
    each.map(server).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_server_has_a_name_of_its_own() {
        let servers = Server::npx(20);
        let names: BTreeSet<_> = servers.iter().map(|one| &one.name).collect();
        assert_eq!(names.len(), 20, "{names:?}");
        let first = servers.first().map(|one| one.name.as_str());
        assert_eq!(first, Some("memory"));
    }

    #[test]
    fn a_cold_server_has_a_cache_of_its_own_but_for_what_was_downloaded() {
        let links = |servers: Vec<Server>| -> BTreeSet<_> {
            servers.iter().filter_map(Server::cold_link).collect()
        };
        assert_eq!(links(Server::cold(20)).len(), 20);
        let second = ("1/_cacache".to_owned(), "/opt/npm/_cacache");
        assert!(links(Server::cold(2)).contains(&second));
        assert!(links(Server::npx(20)).is_empty());
    }

    #[test]
    fn a_server_by_node_alone_is_a_script_of_the_image() {
        let first = Server::node(1);
        let arguments = first.first().map(|one| one.arguments.concat());
        assert_eq!(arguments.as_deref(), Some("/opt/servers/server-memory.js"));
    }
}
