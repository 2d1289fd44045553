//! Takes a container from its networks, and gives it back to them with what it had there: addresses,
//! aliases, drivers' options.

use super::Scene;
use super::daemon::{Daemon, SOON, Trouble};
use super::steps::Steps;
use bollard::models::{
    ContainerInspectResponse, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
};
use serde::{Deserialize, Serialize};

/// Networks that are none.
const NONE: [&str; 1] = ["none"];

/// One network of a container, and how it is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tie {
    /// Its name.
    pub network: String,
    /// What is asked for when it is connected.
    pub settings: EndpointSettings,
}

/// The networks of a container as they would have to be asked for.
pub fn ties(found: &ContainerInspectResponse) -> Vec<Tie> {
    let id = found.id.clone().unwrap_or_default();
    let settings = found.network_settings.as_ref();
    let all = settings.and_then(|settings| settings.networks.clone());
    let mut ties: Vec<Tie> = all
        .unwrap_or_default()
        .into_iter()
        .filter(|(network, _)| !NONE.contains(&network.as_str()))
        .map(|(network, settings)| Tie {
            network,
            settings: wanted(settings, &id),
        })
        .collect();
    ties.sort_by(|one, other| one.network.cmp(&other.network));
    ties
}

/// What was asked for once, without what Docker made of it: that is made anew.
fn wanted(found: EndpointSettings, id: &str) -> EndpointSettings {
    // Docker adds the beginning of the id itself.
    let own = |alias: &String| !alias.is_empty() && id.starts_with(alias.as_str());
    let aliases = found
        .aliases
        .map(|all| all.into_iter().filter(|alias| !own(alias)).collect());
    EndpointSettings {
        ipam_config: found.ipam_config,
        links: found.links,
        aliases,
        driver_opts: found.driver_opts,
        gw_priority: found.gw_priority,
        ..EndpointSettings::default()
    }
}

/// Disconnects it from all of them. What it had is remembered before.
pub fn isolate(daemon: &Daemon, container: &str, scene: &Scene, steps: &mut Steps) {
    let found = match daemon.inspect(container) {
        Ok(found) => found,
        Err(trouble) => return steps.failed("networks", "", trouble.to_string()),
    };
    let ties = ties(&found);
    if ties.iter().any(|tie| tie.network == "host") {
        let words =
            "it has the host's own network, which nobody can be disconnected from: freeze it";
        return steps.failed("host", "disconnected", words);
    }
    if ties.is_empty() {
        return steps.done("networks", "it is in none");
    }
    scene.ties.keep(&ties);
    for tie in &ties {
        let network = tie.network.as_str();
        let request = NetworkDisconnectRequest {
            container: container.to_owned(),
            force: Some(true),
        };
        let cut = daemon.ask(SOON, async |docker| {
            docker.disconnect_network(network, request).await
        });
        match cut {
            Ok(()) => steps.is(network, "disconnected", "disconnected"),
            Err(trouble) => steps.failed(network, "disconnected", trouble.to_string()),
        }
    }
    read_back(daemon, container, &[], steps);
}

/// Connects it again to those that it was taken from.
pub fn rejoin(daemon: &Daemon, container: &str, scene: &Scene, steps: &mut Steps) {
    let Some(ties) = scene.ties.kept().filter(|ties| !ties.is_empty()) else {
        let words = "not known what it was taken from: it was not isolated by this guard, or that was \
                     forgotten; connect it by `docker network connect`";
        return steps.failed("networks", "", words);
    };
    let found = match daemon.inspect(container) {
        Ok(found) => self::ties(&found),
        Err(trouble) => return steps.failed("networks", "", trouble.to_string()),
    };
    let mut lost = false;
    for tie in &ties {
        let network = tie.network.as_str();
        if found.iter().any(|known| known.network == network) {
            steps.is(network, "connected", "it was connected already");
            continue;
        }
        match connect(daemon, container, tie) {
            Ok(()) => steps.is(network, "connected", "connected"),
            Err(trouble) => {
                lost = true;
                steps.failed(network, "connected", trouble.to_string());
            }
        }
    }
    if !lost {
        read_back(daemon, container, &ties, steps);
        scene.ties.keep(&Vec::new());
    }
}

/// Connects it to one.
///
/// # Errors
/// As [`Daemon::ask`].
pub fn connect(daemon: &Daemon, container: &str, tie: &Tie) -> Result<(), Trouble> {
    let request = NetworkConnectRequest {
        container: container.to_owned(),
        endpoint_config: Some(tie.settings.clone()),
    };
    let network = tie.network.as_str();
    daemon.ask(SOON, async |docker| {
        docker.connect_network(network, request).await
    })
}

fn read_back(daemon: &Daemon, container: &str, expected: &[Tie], steps: &mut Steps) {
    let names = |ties: &[Tie]| {
        let all: Vec<&str> = ties.iter().map(|tie| tie.network.as_str()).collect();
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(", ")
        }
    };
    let wanted = names(expected);
    match daemon.inspect(container).map(|found| names(&ties(&found))) {
        Ok(found) if found == wanted => steps.is("networks", wanted, found),
        Ok(found) => steps.failed("networks", wanted, found),
        Err(trouble) => steps.failed("networks", wanted, trouble.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::NetworkSettings;

    #[test]
    fn what_was_asked_for_is_kept_and_what_docker_made_is_not() {
        let id = "0123456789abcdef";
        let with = EndpointSettings {
            aliases: Some(vec!["db".to_owned(), "0123456789ab".to_owned()]),
            ip_address: Some("172.18.0.9".to_owned()),
            mac_address: Some("02:42:ac:12:00:09".to_owned()),
            network_id: Some("77".to_owned()),
            ..EndpointSettings::default()
        };
        let networks = [("net", with), ("none", EndpointSettings::default())];
        let found = ContainerInspectResponse {
            id: Some(id.to_owned()),
            network_settings: Some(NetworkSettings {
                networks: Some(networks.map(|(name, with)| (name.to_owned(), with)).into()),
                ..NetworkSettings::default()
            }),
            ..ContainerInspectResponse::default()
        };
        let expected = EndpointSettings {
            aliases: Some(vec!["db".to_owned()]),
            ..EndpointSettings::default()
        };
        let tie = Tie {
            network: "net".to_owned(),
            settings: expected,
        };
        assert_eq!(ties(&found), [tie]);
    }
}
