//! `compose`: the protocol's protected configuration as an override for docker-compose, corrected where it
//! breaks what it should protect.

use super::args::Compose as Options;
use super::exit::{Code, Failure};
use super::{client, load, out};
use crate::config::docker_limits::{LEAST_TASKS, TASKS_PER_PROCESS, enough_tasks};
use crate::config::protocol::DockerLimits;
use crate::config::units::Bytes;
use crate::config::{TargetConfig, TargetSource};
use crate::model::Status;
use anyhow::anyhow;
use core::fmt::Write;
use std::path::Path;

/// Crashes that MetaMCP is told to bear where each refusal is one.
const ATTEMPTS: u64 = 10;

/// What the running agent knows of it.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The mode in force; `None`: no agent answers, or it is not there.
    mode: Option<String>,
    /// The cap in force.
    cap: Option<u64>,
}

/// Prints it.
///
/// # Errors
/// A bad configuration, no such target, or one that is no container.
pub(super) fn run(options: &Options, socket: &Path) -> Result<(), Failure> {
    let config = load::load(&options.config)?.checked.config;
    let meant = one_of(&config.targets, options.target.as_deref())?;
    // Without an agent it is as good, but for what depends on the mode.
    let known = client::status(socket).map(|status| known(&status, &meant.name));
    let service = match (&options.service, &meant.source) {
        (Some(service), _) => service.clone(),
        (None, TargetSource::Container(name)) => name.clone(),
        (None, _) => meant.name.clone(),
    };
    out::print(&override_of(meant, &service, &known.unwrap_or_default()))
}

fn known(status: &Status, name: &str) -> Known {
    let target = status.targets.iter().find(|one| one.name == name);
    let limits = target.and_then(|target| target.limits.as_ref());
    Known {
        mode: limits.and(target).map(|target| target.mode.clone()),
        cap: target.and_then(|target| target.sentinel.auto_cap),
    }
}

fn one_of<'a>(all: &'a [TargetConfig], target: Option<&str>) -> Result<&'a TargetConfig, Failure> {
    let names = all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>();
    let names = names.join(", ");
    let found = match target {
        Some(name) => all.iter().find(|one| one.name == name).ok_or_else(|| {
            let error =
                anyhow!("there is no target {name} in the configuration; there are: {names}");
            Failure::new(Code::NotFound, error)
        }),
        None => match all {
            [one] => Ok(one),
            _ => {
                let error = anyhow!("say which target is meant: {names}");
                Err(Failure::new(Code::Usage, error))
            }
        },
    }?;
    if found.source.is_container() {
        return Ok(found);
    }
    let error = anyhow!(
        "{} is no container: Compose knows nothing of it",
        found.name
    );
    Err(Failure::new(Code::Usage, error))
}

/// The override for one service. (Writing to a `String` cannot fail.)
fn override_of(config: &TargetConfig, service: &str, known: &Known) -> String {
    let none = DockerLimits::default();
    let limits = config.limits.as_ref().unwrap_or(&none);
    let service = serde_json::Value::from(service);
    let mut text = format!(
        "# Made by `metamcp-guard compose`: put it beside docker-compose.yml as\n\
         # docker-compose.override.yml, or name it with -f. What metamcp-guard changed of the operators'\n\
         # protocol says why.\n\
         services:\n  {service}:\n"
    );
    memory(&mut text, limits);
    tasks(&mut text, config, limits, known);
    text.push_str(
        "    # Reaps the processes that end: node as process 1 does not, and each zombie stays charged.\n    \
         init: true\n    \
         security_opt:\n      - no-new-privileges:true\n",
    );
    if let Some(nofile) = limits.nofile {
        let (soft, hard) = (nofile.soft, nofile.hard);
        let _ = write!(
            text,
            "    ulimits:\n      \
                 # No nproc (the protocol has 100): it counts the threads of one user over the whole host,\n      \
                 # in other containers too, and aborts healthy Node servers; root is exempt from it.\n      \
                 nofile:\n        soft: {soft}\n        hard: {hard}\n"
        );
    }
    text.push_str(
        "    # The image's own test; write `test:` here if it has none. Twenty servers boot in 36 to 53 s.\n    \
         healthcheck:\n      interval: 30s\n      timeout: 10s\n      retries: 3\n      start_period: 90s\n",
    );
    environment(&mut text, config, limits, known);
    text
}

fn memory(text: &mut String, limits: &DockerLimits) {
    let keys = [
        ("mem_limit", limits.memory, "most memory"),
        (
            "mem_reservation",
            limits.memory_reservation,
            "kept for it when the host is short",
        ),
        (
            "memswap_limit",
            limits.memory_swap,
            "memory and swap together: as mem_limit, no swap",
        ),
    ];
    for (key, bytes, why) in keys {
        if let Some(Bytes(bytes)) = bytes {
            let _ = writeln!(text, "    {key}: {}  # {why}", size(bytes));
        }
    }
    if limits.memory.is_none() {
        text.push_str("    # No mem_limit: there is no `memory` under [target.limits].\n");
    }
    if let Some(cpus) = limits.cpus {
        let _ = writeln!(text, "    cpus: {cpus:?}");
    }
}

/// As Compose writes it.
fn size(bytes: u64) -> String {
    let units = [(1_u64 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")];
    let fits = units
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    let (unit, name) = fits.unwrap_or((1, "b"));
    format!("{}{name}", bytes / unit)
}

fn tasks(text: &mut String, config: &TargetConfig, limits: &DockerLimits, known: &Known) {
    let cap = config.gate.max_processes.processes();
    let cap = known.cap.unwrap_or(cap);
    let enough = enough_tasks(cap);
    let pids = limits.pids.unwrap_or(enough);
    let _ = write!(
        text,
        "    # It counts threads, of which one npx server has 23: the protocol's 25 breaks Node, which\n    \
         # aborts or hangs where a thread cannot start. A back-stop alone, {TASKS_PER_PROCESS} for each of \
         the gate's {cap}\n    \
         # processes and at least {LEAST_TASKS}; the gate counts processes.\n    \
         pids_limit: {pids}\n"
    );
}

fn environment(text: &mut String, config: &TargetConfig, limits: &DockerLimits, known: &Known) {
    text.push_str("    environment:\n");
    if let Some(levels) = &config.processes {
        let warning = levels.warning;
        let _ = writeln!(text, "      MAX_PROCESSES: \"{warning}\"");
    }
    if let Some(Bytes(memory)) = limits.memory {
        let _ = writeln!(text, "      MAX_MEMORY_MB: \"{}\"", memory >> 20);
    }
    text.push_str("      ENABLE_RESOURCE_MONITORING: \"true\"\n");
    match known.mode.as_deref() {
        Some("kill") => {
            let _ = write!(
                text,
                "      # The gate's mode here is `kill`: each refusal is a crash to MetaMCP, which by default\n      \
                 # gives a server up after one.\n      \
                 MCP_MAX_ATTEMPTS: \"{ATTEMPTS}\"\n"
            );
        }
        Some(mode) => {
            let _ = writeln!(
                text,
                "      # No MCP_MAX_ATTEMPTS: a refusal in the gate's mode {mode} is no crash."
            );
        }
        None => {
            let _ = write!(
                text,
                "      # No agent says which mode holds: where it is `kill`, uncomment this, since MetaMCP\n      \
                 # gives a server up after one crash.\n      \
                 # MCP_MAX_ATTEMPTS: \"{ATTEMPTS}\"\n"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Profile;
    use serde_norway::Value;

    fn made(profile: Profile, known: &Known) -> (String, Value) {
        let source = TargetSource::Container("metamcp".to_owned());
        let text = override_of(&TargetConfig::of(source, profile), "metamcp", known);
        let value: Value = serde_norway::from_str(&text).unwrap();
        let service = value
            .get("services")
            .and_then(|all| all.get("metamcp"))
            .cloned();
        (text, service.unwrap())
    }

    #[test]
    fn the_protected_configuration_is_yaml_with_its_reasons() {
        let (text, service) = made(Profile::Metamcp, &Known::default());
        let number = |key: &str| service.get(key).and_then(Value::as_u64);
        assert_eq!(number("pids_limit"), Some(6_400));
        let word = |key: &str| service.get(key).and_then(Value::as_str);
        assert_eq!(word("mem_limit"), Some("4g"));
        let ulimits = service.get("ulimits").unwrap();
        assert!(ulimits.get("nproc").is_none());
        let nofile = ulimits.get("nofile").unwrap();
        assert_eq!(nofile.get("hard").and_then(Value::as_u64), Some(2_048));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn attempts_are_borne_where_a_refusal_is_a_crash() {
        let attempts = |mode: Option<&str>| {
            let known = Known {
                mode: mode.map(str::to_owned),
                cap: Some(100),
            };
            let (_, service) = made(Profile::Metamcp, &known);
            assert_eq!(
                service.get("pids_limit").and_then(Value::as_u64),
                Some(1_600)
            );
            let environment = service.get("environment").unwrap();
            environment.get("MCP_MAX_ATTEMPTS").cloned()
        };
        assert_eq!(attempts(Some("kill")), Some(Value::from("10")));
        assert_eq!(attempts(Some("deny")), None);
        assert_eq!(attempts(None), None);
    }

    #[test]
    fn without_limits_nothing_is_made_up() {
        let (_, service) = made(Profile::Generic, &Known::default());
        assert!(service.get("mem_limit").is_none() && service.get("ulimits").is_none());
        assert!(service.get("pids_limit").is_some());
    }

    #[test]
    fn sizes_as_compose_writes_them() {
        for (bytes, expected) in [
            (4 << 30, "4g"),
            (1_536 << 20, "1536m"),
            (8_000_000_000, "7812500k"),
            (1_001, "1001b"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn who_is_no_container_or_nobody_is_told_so() {
        let cgroup = TargetConfig::of(TargetSource::Cgroup("/x".into()), Profile::Generic);
        let name = cgroup.name.clone();
        let all = [cgroup];
        let code = |target: Option<&str>| one_of(&all, target).map(|_| ()).unwrap_err().code;
        assert_eq!(code(Some(&name)), Code::Usage);
        assert_eq!(code(None), Code::Usage);
        assert_eq!(code(Some("web")), Code::NotFound);
    }
}
