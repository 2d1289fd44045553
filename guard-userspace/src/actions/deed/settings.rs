//! A container as it would have to be asked for, from what Docker says that it is.

use super::isolate::{Tie, ties};
use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, HostConfig, MountPoint,
    NetworkingConfig,
};

/// So many digits of its id Docker takes as a container's host name, where none was asked for.
const SHORT: usize = 12;

/// Networks that take no settings of their own.
const PLAIN: [&str; 3] = ["bridge", "default", "host"];

/// A container to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is asked for at its creation: one network at most, as daemons before 25 want it.
    pub body: ContainerCreateBody,
    /// Networks that it is connected to before its start.
    pub others: Vec<Tie>,
}

/// The same again, of this image.
pub fn of(found: &ContainerInspectResponse, image: &str) -> Settings {
    let config = found.config.clone().unwrap_or_default();
    let host = found.host_config.clone().unwrap_or_default();
    let id = found.id.clone().unwrap_or_default();
    let mode = host.network_mode.clone().unwrap_or_default();
    let is_shared = mode.starts_with("container:");
    let own = |network: &str| !PLAIN.contains(&network) && !is_shared;
    let (first, others): (Vec<Tie>, Vec<Tie>) = ties(found)
        .into_iter()
        .filter(|tie| own(&tie.network))
        .partition(|tie| tie.network == mode);
    let endpoints = first.into_iter().map(|tie| (tie.network, tie.settings));
    let networks = NetworkingConfig {
        endpoints_config: Some(endpoints.collect()),
    };
    let mut body = body(config, image);
    let made_up = |name: &String| id.starts_with(name.as_str()) && name.len() == SHORT;
    body.hostname = body.hostname.filter(|name| !is_shared && !made_up(name));
    if is_shared {
        body.exposed_ports = None;
    }
    body.networking_config = Some(networks);
    body.host_config = Some(hosted(host, found.mounts.as_deref().unwrap_or_default()));
    Settings { body, others }
}

fn body(config: ContainerConfig, image: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        hostname: config.hostname,
        domainname: config.domainname,
        user: config.user,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: config.exposed_ports,
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env,
        cmd: config.cmd,
        healthcheck: config.healthcheck,
        args_escaped: config.args_escaped,
        image: Some(image.to_owned()),
        volumes: config.volumes,
        working_dir: config.working_dir,
        entrypoint: config.entrypoint,
        network_disabled: config.network_disabled,
        on_build: config.on_build,
        labels: config.labels,
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        shell: config.shell,
        host_config: None,
        networking_config: None,
    }
}

/// Volumes without a name have got one, by which the new container has them too.
fn hosted(mut host: HostConfig, mounts: &[MountPoint]) -> HostConfig {
    let mut binds = host.binds.take().unwrap_or_default();
    let asked = host.mounts.as_deref().unwrap_or_default();
    for mount in mounts
        .iter()
        .filter(|mount| mount.typ.as_deref() == Some("volume"))
    {
        let (Some(name), Some(at)) = (&mount.name, &mount.destination) else {
            continue;
        };
        let bound = |bind: &String| bind.split(':').nth(1) == Some(at.as_str());
        let mounted = asked
            .iter()
            .any(|one| one.target.as_ref() == Some(at) && one.source.is_some());
        if binds.iter().any(bound) || mounted {
            continue;
        }
        let mode = if mount.rw == Some(false) { "ro" } else { "rw" };
        binds.push(format!("{name}:{at}:{mode}"));
    }
    // What was asked for there without a source is one of those now.
    let has_bind = |at: &Option<String>| {
        let bound = |bind: &String| bind.split(':').nth(1) == at.as_deref();
        binds.iter().any(bound)
    };
    if let Some(asked) = &mut host.mounts {
        asked.retain(|one| !has_bind(&one.target));
    }
    host.links = host
        .links
        .map(|links| links.iter().map(|link| linked(link)).collect());
    host.binds = Some(binds);
    host
}

/// `/db:/web/database` is told of what was asked for as `db:database`.
fn linked(link: &str) -> String {
    match link.split_once(':') {
        Some((of, alias)) => {
            let alias = alias.rsplit('/').next().unwrap_or(alias);
            format!("{}:{alias}", of.trim_start_matches('/'))
        }
        None => link.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{EndpointSettings, NetworkSettings};

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn found(mode: &str, hostname: &str) -> ContainerInspectResponse {
        let settings = |alias: &str| EndpointSettings {
            aliases: Some(vec![alias.to_owned()]),
            ..EndpointSettings::default()
        };
        let networks = [("front", settings("web")), ("back", settings("app"))];
        ContainerInspectResponse {
            id: Some(ID.to_owned()),
            config: Some(ContainerConfig {
                hostname: Some(hostname.to_owned()),
                env: Some(vec!["A=1".to_owned()]),
                image: Some("old:tag".to_owned()),
                ..ContainerConfig::default()
            }),
            host_config: Some(HostConfig {
                network_mode: Some(mode.to_owned()),
                binds: Some(vec!["/host:/in:ro".to_owned()]),
                links: Some(vec!["/db:/web/database".to_owned()]),
                memory: Some(7),
                ..HostConfig::default()
            }),
            mounts: Some(vec![MountPoint {
                typ: Some("volume".to_owned()),
                name: Some("77ab".to_owned()),
                destination: Some("/data".to_owned()),
                rw: Some(true),
                ..MountPoint::default()
            }]),
            network_settings: Some(NetworkSettings {
                networks: Some(networks.map(|(name, with)| (name.to_owned(), with)).into()),
                ..NetworkSettings::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn what_was_asked_for_is_asked_for_again() {
        let Settings { body, others } = of(&found("back", &ID[..12]), "new:tag");
        assert_eq!(body.hostname, None, "Docker had made it of the id");
        assert_eq!(body.image.as_deref(), Some("new:tag"));
        assert_eq!(body.env, Some(vec!["A=1".to_owned()]));
        let first = body.networking_config.unwrap().endpoints_config.unwrap();
        assert_eq!(first.keys().collect::<Vec<_>>(), ["back"]);
        assert_eq!(first["back"].aliases, Some(vec!["app".to_owned()]));
        let others: Vec<_> = others.iter().map(|tie| tie.network.as_str()).collect();
        assert_eq!(others, ["front"]);
        let host = body.host_config.unwrap();
        assert_eq!(host.memory, Some(7));
        assert_eq!(
            host.binds,
            Some(vec!["/host:/in:ro".to_owned(), "77ab:/data:rw".to_owned()])
        );
        assert_eq!(host.links, Some(vec!["db:database".to_owned()]));
    }

    #[test]
    fn who_shares_anothers_network_asks_for_none() {
        let Settings { body, others } = of(&found("container:99", "web"), "i");
        assert_eq!((body.hostname, others.len()), (None, 0));
        let named = of(&found("bridge", "web"), "i").body;
        assert_eq!(named.hostname.as_deref(), Some("web"));
    }
}
