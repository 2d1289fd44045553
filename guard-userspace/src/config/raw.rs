//! The file as it is written: every key, all of them optional, each with its place in the text.
//!
//! An unknown key or a wrong type ends here, with its line. What the values mean together is
//! judged in `apply` and `relations`.

use super::checked::{Mode, OnAgentExit, Profile};
use super::gate::{DenyErrno, Rung};
use super::protocol::{Count, Scope};
use super::units::{Bytes, Percent, Time};
use core::fmt;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use std::collections::BTreeMap;
use toml::Spanned;

/// A value that may be absent, with its place in the file.
pub(super) type At<T> = Option<Spanned<T>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) mode: Option<Mode>,
    pub(super) state_dir: At<String>,
    pub(super) on_agent_exit: Option<OnAgentExit>,
    pub(super) agent_timeout: At<Time>,
    pub(super) canary_every: At<Time>,
    #[serde(default)]
    pub(super) http: Http,
    pub(super) target: Option<Vec<Spanned<Target>>>,
    #[serde(default)]
    pub(super) notify: Vec<Spanned<Notify>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub(super) listen: At<String>,
    pub(super) token_file: At<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub(super) name: At<String>,
    pub(super) container: At<String>,
    pub(super) label: At<String>,
    pub(super) cgroup: At<String>,
    pub(super) profile: Option<Profile>,
    pub(super) protect: At<Vec<Spanned<String>>>,
    pub(super) expendable: At<Vec<Spanned<String>>>,
    pub(super) allowed_instances: At<u64>,
    #[serde(default)]
    pub(super) idle_after: IdleAfter,
    #[serde(default)]
    pub(super) gate: Gate,
    pub(super) processes: Option<Levels>,
    pub(super) memory: Option<Memory>,
    #[serde(default)]
    pub(super) end: End,
    #[serde(default)]
    pub(super) tiers: Tiers,
    pub(super) limits: Option<Limits>,
    #[serde(default)]
    pub(super) restart: Restart,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdleAfter {
    pub(super) calm: At<Time>,
    pub(super) pressure: At<Time>,
    pub(super) lasting: At<Time>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    pub(super) max_processes: At<Cap>,
    pub(super) spawn_rate: At<u64>,
    pub(super) spawn_burst: At<u64>,
    pub(super) startup_rate: At<u64>,
    pub(super) startup_burst: At<u64>,
    pub(super) reserve: At<u64>,
    pub(super) guest_processes: At<u64>,
    pub(super) newborn_max: At<u64>,
    pub(super) park_for: At<Time>,
    pub(super) parked_max: At<u64>,
    #[serde(default)]
    pub(super) tree: Tree,
    pub(super) wrappers: At<Vec<Spanned<String>>>,
    pub(super) servers: At<Vec<Spanned<String>>>,
    pub(super) max_instances: Option<BTreeMap<Spanned<String>, Spanned<u64>>>,
    pub(super) modes: At<Vec<Rung>>,
    pub(super) deny_errno: Option<DenyErrno>,
}

/// `"auto"` or a number.
#[derive(Clone, Copy)]
pub(super) enum Cap {
    Auto,
    Count(u64),
}

impl<'de> Deserialize<'de> for Cap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ReadCap)
    }
}

struct ReadCap;

impl Visitor<'_> for ReadCap {
    type Value = Cap;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number of processes, or \"auto\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Cap, E> {
        let negative = Unexpected::Signed(number);
        u64::try_from(number)
            .map(Cap::Count)
            .map_err(|_| E::invalid_value(negative, &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Cap, E> {
        Ok(Cap::Count(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cap, E> {
        match text {
            "auto" => Ok(Cap::Auto),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tree {
    pub(super) processes: At<u64>,
    pub(super) spawns: At<u64>,
    pub(super) settle: At<Time>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Levels {
    pub(super) count: Option<Count>,
    pub(super) strict: Option<bool>,
    pub(super) warning: At<u64>,
    pub(super) critical: At<u64>,
    pub(super) emergency: At<u64>,
    pub(super) nuclear: At<u64>,
    pub(super) clear_after: At<Time>,
    pub(super) held_for: At<Time>,
    pub(super) leak_over: At<Time>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    pub(super) limit: At<Bytes>,
    pub(super) warning: At<Percent>,
    pub(super) critical: At<Percent>,
    pub(super) emergency: At<Percent>,
    pub(super) restart_over: At<Bytes>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) grace: At<Time>,
    pub(super) zombie_limit: At<u64>,
    pub(super) max_kills_per_minute: At<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tiers {
    #[serde(default)]
    pub(super) nuclear_monitor: NuclearMonitor,
    #[serde(default)]
    pub(super) host_monitor: Tier,
    #[serde(default)]
    pub(super) resource_enforcer: Tier,
    #[serde(default)]
    pub(super) startup_preventer: Tier,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tier {
    pub(super) on: Option<bool>,
    pub(super) log: At<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NuclearMonitor {
    pub(super) on: Option<bool>,
    pub(super) log: At<String>,
    pub(super) scope: Option<Scope>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) memory: At<Bytes>,
    pub(super) memory_reservation: At<Bytes>,
    pub(super) memory_swap: At<Bytes>,
    pub(super) cpus: At<f64>,
    pub(super) nofile: At<String>,
    pub(super) pids: At<u64>,
    pub(super) nproc: At<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restart {
    pub(super) max_per_hour: At<u64>,
    pub(super) stop_timeout: At<Time>,
    pub(super) compose_dir: At<String>,
}

/// The kinds differ in what they need; which key belongs to which is checked in `notify`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notify {
    pub(super) kind: Spanned<String>,
    pub(super) url: At<String>,
    pub(super) smtp: At<String>,
    pub(super) from: At<String>,
    pub(super) to: At<Vec<String>>,
    pub(super) run: At<Vec<String>>,
}
