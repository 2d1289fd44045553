//! The operators' protocol, carried out by the agent itself on real containers. Times are shortened by
//! the configuration, and counts are sized for two CPUs; the rules are the ones that hold by default.

pub mod after;
pub mod births;
pub mod cleanup;
pub mod commands;
pub mod explosion;
pub mod gone;
pub mod grounds;
pub mod leak;
pub mod letter;
pub mod levels;
pub mod memory;
pub mod nuclear;
pub mod restarts;
pub mod spared;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::check::eventually;
use guard_tests::docker::metamcp::{MetaMcp, Server, Setup};
use guard_tests::docker::{Container, Parent};
use serde_json::Value;

use crate::metamcp::{BOOT, PATIENCE, Stand};
use crate::profile::SLOTS;
use crate::scene::{Guard, SOON, Seen, Stage};

/// The levels of these tests, by excess.
pub const WARNING: u64 = 4;
pub const CRITICAL: u64 = 8;
pub const EMERGENCY: u64 = 16;
pub const NUCLEAR: u64 = 32;

/// How long a tree may take to start, by these tests' own rules.
pub const SETTLE: Duration = Duration::from_secs(2);

/// How the container `metamcp` is guarded.
pub struct Rules {
    pub cap: u64,
    /// Slots of a tree.
    pub slots: u64,
    /// Trees of a family that are healthy.
    pub allowed: u64,
    /// How long a tree must do nothing: in calm, under pressure and under lasting pressure.
    pub idle: &'static str,
    /// Warning, critical, emergency and nuclear by excess.
    pub levels: [u64; 4],
    /// How long a level is kept, and for how long refusals after a cleanup may go on.
    pub times: &'static str,
    /// How long a tree may take to start.
    pub settle: &'static str,
    /// More keys of the target.
    pub keys: &'static str,
    /// More of `[target.processes]`.
    pub processes: &'static str,
    /// All of `[target.end]`.
    pub end: &'static str,
    /// More tables.
    pub more: String,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            cap: 400,
            slots: SLOTS,
            allowed: 2,
            idle: "calm = \"4s\", pressure = \"3s\", lasting = \"2s\"",
            levels: [WARNING, CRITICAL, EMERGENCY, NUCLEAR],
            times: "clear_after = \"3s\"\nheld_for = \"5s\"",
            settle: "2s",
            keys: "",
            processes: "",
            end: "grace = \"2s\"",
            more: String::new(),
        }
    }
}

impl Rules {
    /// An agent that guards by them.
    pub fn guard(&self, stage: &Stage) -> Result<Guard> {
        let Self {
            cap,
            slots,
            allowed,
            idle,
            levels: [warning, critical, emergency, nuclear],
            times,
            settle,
            keys,
            processes,
            end,
            more,
        } = self;
        let target = format!(
            "name = \"metamcp\"\ncontainer = \"metamcp\"\nprofile = \"metamcp\"\n\
             allowed_instances = {allowed}\nidle_after = {{ {idle} }}\n{keys}\n\
             [target.gate]\nmax_processes = {cap}\n\
             tree = {{ processes = {slots}, spawns = 8, settle = \"{settle}\" }}\n\
             [target.processes]\nwarning = {warning}\ncritical = {critical}\nemergency = {emergency}\n\
             nuclear = {nuclear}\n{times}\n{processes}\n\
             [target.end]\n{end}\n{more}"
        );
        Guard::start(&stage.docker, &target, &[])
    }
}

/// So many servers by node alone: one process each, quick to start.
pub fn servers(number: usize) -> Setup<'static> {
    Setup {
        servers: Server::node(number),
        patience: PATIENCE,
        ..Setup::default()
    }
}

/// A gateway of that kind, whose pool is full.
pub fn booted(stage: &Stage, setup: &Setup<'_>) -> Result<Stand> {
    let stand = Stand::start(stage, "metamcp", setup)?;
    stand.gateway.settled(BOOT)?.ensure_all_idle()?;
    Ok(stand)
}

/// A container beside the guarded one, which nothing is to happen to.
pub struct Neighbour {
    container: Container,
    witness: guard_tests::Witness,
    before: Seen,
    pid: u32,
    _parent: Parent,
}

impl Neighbour {
    pub fn start(stage: &Stage) -> Result<Self> {
        let parent = Parent::new("neighbour")?;
        let witness = parent.witness()?;
        let spawn =
            "require(\"child_process\").spawn(\"sleep\", [\"600\"]); setInterval(() => 0, 1000)";
        let command = [stage.image.as_str(), "node", "-e", spawn];
        let container = Container::run(&stage.docker, &parent, "neighbour", &command)?;
        eventually("the neighbour runs", SOON, || {
            Ok(witness.counts()?.execs == 2)
        })?;
        Ok(Self {
            before: Seen::by(&witness.counts()?),
            pid: container.pid()?,
            container,
            witness,
            _parent: parent,
        })
    }

    /// Nothing happened to it.
    pub fn ensure_untouched(&self) -> Result<()> {
        let now = Seen::by(&self.witness.counts()?);
        ensure!(
            now == self.before,
            "the neighbour: {:?}, {now:?}",
            self.before
        );
        ensure!(
            self.container.pid()? == self.pid,
            "the neighbour was restarted"
        );
        Ok(())
    }
}

/// What the agent decided of its own accord: lines of `decision` with that action which were allowed.
pub fn decided(guard: &Guard, action: &str) -> Vec<Value> {
    let all = guard.agent.events();
    let lines = all.iter().filter(|line| {
        line["event"] == "decision"
            && line["action"] == action
            && line["tier"] != "operator"
            && line["refused"].is_null()
    });
    lines.cloned().collect()
}

/// Waits until the target is at this level; gives its status then.
pub fn at_level(guard: &Guard, level: &str) -> Result<Value> {
    let mut last = Value::Null;
    eventually(&format!("the level is {level}"), SOON, || {
        last = guard.target()?;
        Ok(last["level"] == level)
    })
    .with_context(|| format!("{last}; {}", guard.agent.last_words()))?;
    Ok(last)
}

/// Waits until the container's init is another one than `before`.
pub fn restarted(guard: &Guard, gateway: &MetaMcp, before: u32) -> Result<()> {
    eventually("it is restarted", SOON, || {
        let now = gateway.container.pid();
        Ok(now.is_ok_and(|pid| pid != before && pid != 0))
    })
    .with_context(|| guard.agent.last_words())
}

/// So many sessions, one after the other, each served and not ended; gives their ids. (Of those that start
/// together the gateway's idle one need not be the youngest.)
pub fn leak(gateway: &MetaMcp, sessions: u64, servers: usize) -> Result<Vec<String>> {
    let session = |_| {
        let id = gateway.open()?;
        let answer = gateway.list(&id, PATIENCE);
        ensure!(answer.servers.len() == servers, "not served: {answer}");
        gateway.settled(BOOT)?;
        Ok(id)
    };
    (0..sessions).map(session).collect()
}

/// Sessions are ended, as clients do that behave.
pub fn leave(gateway: &MetaMcp, sessions: &[String]) -> Result<()> {
    gateway.settled(BOOT)?;
    sessions.iter().try_for_each(|id| gateway.end(id))
}

/// A new session lists all servers, at its first list or at the next one: the idle instance that it is
/// given first may have been ended, as the real gateway's may (workload.md).
pub fn serves(gateway: &MetaMcp, servers: usize) -> Result<Duration> {
    let session = gateway.open()?;
    let first = gateway.list(&session, PATIENCE);
    if first.servers.len() == servers {
        return Ok(first.took);
    }
    gateway.settled(BOOT)?;
    let again = gateway.list(&gateway.open()?, PATIENCE);
    ensure!(
        again.servers.len() == servers,
        "first {first}, then {again}"
    );
    Ok(first.took + again.took)
}
